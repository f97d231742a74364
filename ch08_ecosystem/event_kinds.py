"""The kinds of things in TensorBoard's event files, each as a tuple of tensors."""

from typing import NamedTuple

from torch import Tensor


class Curve(NamedTuple):
    steps: Tensor  # (T,) int64
    values: Tensor  # (T,) float64
    times: Tensor  # (T,) float64, seconds since 1970


class Histogram(NamedTuple):
    step: int
    edges: Tensor  # (B + 1,) float64, from the least to the greatest number
    counts: Tensor  # (B,) float64


class Picture(NamedTuple):
    step: int
    frames: Tensor  # (T, 3, H, W) uint8; T is 1 but for a film


class Sound(NamedTuple):
    step: int
    waveform: Tensor  # (T,) float32 in [-1, 1]
    rate: int  # samples a second


class PrecisionRecall(NamedTuple):
    step: int
    precision: Tensor  # (T,) float32, thresholds from 0 to 1 in equal steps
    recall: Tensor  # (T,) float32


class Embedding(NamedTuple):
    vectors: Tensor  # (N, D) float64
    labels: list[str]  # N of them, or none
    sprite: Tensor | None  # (3, H, W) uint8, all little images on one sheet
