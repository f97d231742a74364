"""Films, tones and surfaces of a training run, for TensorBoard to show.

    add_gif(writer, "confusion", film(matrices), step)
    writer.add_audio("loss", tone(losses), step, sample_rate=8000)
    writer.add_mesh("around the weights", *loss_surface(model, x, y))

Imports public packages only: this module can be copied alone.
"""

import copy
import io
import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.utils.tensorboard import SummaryWriter


def add_gif(
    writer: SummaryWriter, tag: str, frames: Tensor, step: int, fps: float = 4
) -> None:
    """What `add_video` does, without moviepy: frames (T, 3, H, W) uint8 as a GIF.

    A frame that is equal to the one before is shown longer, not stored twice. Raises
    `ValueError` for another shape or type.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8:
        raise ValueError(
            f"needs frames (T, 3, H, W) of uint8, "
            f"not {tuple(frames.shape)} of {frames.dtype}"
        )
    pictures = [Image.fromarray(f.permute(1, 2, 0).cpu().numpy()) for f in frames]
    file, each = io.BytesIO(), round(1000 / fps)  # milliseconds
    first, *others = pictures
    first.save(file, "GIF", save_all=True, append_images=others, duration=each, loop=0)
    image = Summary.Image(
        height=frames.shape[2],
        width=frames.shape[3],
        colorspace=3,
        encoded_image_string=file.getvalue(),
    )
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    writer.file_writer.add_summary(summary, step)


def film(matrices: Sequence[Tensor], *, scale: int = 12) -> Tensor:
    """Confusion matrices (C, C), one a frame: (T, 3, scale * C, scale * C) uint8."""
    counts = torch.stack(list(matrices)).double()
    shares = counts / counts.sum(2, keepdim=True).clamp(min=1)  # (T, C, C)
    blue = torch.tensor([8.0, 48.0, 107.0])[:, None, None]
    frames = 255 - shares[:, None] * (255 - blue)  # (T, 3, C, C), white to blue
    frames = frames.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return frames.round().to(torch.uint8)


def tone(values: Sequence[float], *, seconds: float = 2, rate: int = 8000) -> Tensor:
    """A tone (seconds * rate,) in [-1, 1] whose pitch, 220 to 880 Hz, follows values.

    Raises `ValueError` for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"a tone that follows values needs two at least, not {values}")
    curve = torch.tensor(values, dtype=torch.float64)
    curve = (curve - curve.min()) / (curve.max() - curve.min()).clamp(min=1e-12)
    size = int(seconds * rate)
    smooth = F.interpolate(curve[None, None], size, mode="linear", align_corners=True)
    hertz = 220 * 4 ** smooth[0, 0]  # two octaves
    return 0.5 * torch.sin(2 * math.pi * torch.cumsum(hertz, 0) / rate).float()


@torch.no_grad()
def loss_surface(
    model: nn.Module, x: Tensor, y: Tensor, *, side: int = 13, reach: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss around the trained weights, as a mesh.

    Two random directions, in each parameter as long as the weights themselves (after Li
    et al., "Visualizing the loss landscape of neural nets", 2018), are walked from
    -reach to reach; V = side**2 points. Returns vertices (1, V, 3) in [-1, 1], whose
    height is the logarithm of the loss, scaled, colours (1, V, 3) uint8 and faces
    (1, F, 3), three vertices each, seen from above (counter-clockwise). A copy of the
    model is moved, in eval mode.
    """
    model = copy.deepcopy(model).eval()
    weights = [p.detach().clone() for p in model.parameters()]
    generator = torch.Generator().manual_seed(0)
    ways = []
    for _ in range(2):
        noise = [torch.randn(w.shape, generator=generator).to(w) for w in weights]
        scaled = [n * w.norm() / n.norm() for n, w in zip(noise, weights, strict=True)]
        ways.append(parameters_to_vector(scaled))
    start = parameters_to_vector(weights)
    line = torch.linspace(-reach, reach, side)
    points = torch.cartesian_prod(line, line)  # (V, 2)
    heights = []
    for a, b in points.tolist():
        vector_to_parameters(start + a * ways[0] + b * ways[1], model.parameters())
        heights.append(F.cross_entropy(model(x), y).log().item())
    height = torch.tensor(heights)
    share = (height - height.min()) / (height.max() - height.min()).clamp(min=1e-12)
    colours = torch.from_numpy(plt.get_cmap("viridis")(share.numpy())[:, :3] * 255)
    vertices = torch.cat([points / reach, 2 * share[:, None] - 1], 1)
    return vertices[None], colours.to(torch.uint8)[None], _triangles(side)[None]


def _triangles(side: int) -> Tensor:
    """Two for each square of a grid of side x side corners: (2 * (side - 1)**2, 3)."""
    corner = torch.arange(side * side).view(side, side)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    return torch.stack([a, c, b, b, c, d], -1).view(-1, 3).int()
