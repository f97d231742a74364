"""Parameters and operations of torchvision's models, counted without their numbers.

    from ch08_ecosystem.vision_models import count, on_meta

A model on the `meta` device has shapes and no memory, so the largest is built and "run"
in a second. Imports only public packages: it can be copied alone.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

FILLED_BY_INIT = (torch.empty, torch.zeros, torch.ones)  # what layers are made with


class ParametersOnMeta(TorchFunctionMode):
    """Inside, layers are made without memory, and small sums still have numbers.

    `torch.device("meta")` takes all there, also the widths that a RegNet computes
    with tensors while it is built, and then stops because it cannot read them.
    """

    def __torch_function__(
        self,
        func: Callable,
        types: Any,
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in FILLED_BY_INIT:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def as_published(name: str) -> dict[str, Any]:
    """Arguments that give the network its weights were trained for, without them.

    `weights=None` alone leaves out the second head of a segmentation network, keeps the
    ones of GoogLeNet that its weights have not, and builds ViT-H/14 for small images.
    Raises `ValueError` for a name that is not in the registry.
    """
    weights = models.get_model_weights(name).DEFAULT  # raises for an unknown name
    arguments: dict[str, Any] = {"weights": None}
    kind = models.get_model_builder(name).__module__
    if ".segmentation" in kind or ".detection" in kind:
        arguments["weights_backbone"] = None  # or it is downloaded
    if ".segmentation" in kind and "lraspp" not in name:
        arguments["aux_loss"] = True
    if name == "googlenet":
        arguments |= {"aux_logits": False, "init_weights": False}
    if name == "inception_v3":
        arguments |= {"init_weights": False}
    if name.startswith("vit_"):
        arguments["image_size"] = weights.transforms().crop_size[0]
    return arguments


def on_meta(name: str, **arguments: Any) -> nn.Module:
    """The model in `eval()` mode on the meta device, with the weights' arguments.

    Raises `ValueError` for an unknown name; `arguments` go to the builder.
    """
    with ParametersOnMeta():
        model = models.get_model(name, **as_published(name) | arguments)
    return model.eval().to("meta")


def inputs_of(name: str) -> list[Tensor]:
    """On meta, what the weights were measured on: (1, 3, H, W), video (1, 3, 16, H, W).

    Segmentation takes 520 x 520. Raises `ValueError` for detection and optical flow,
    whose work depends on what is in the image, or on the number of steps.
    """
    preset = models.get_model_weights(name).DEFAULT.transforms()
    kind = models.get_model_builder(name).__module__
    if ".detection" in kind or ".optical_flow" in kind:
        raise ValueError(f"{name}: its work depends on more than the size of the input")
    if ".segmentation" in kind:
        shape = [1, 3, *preset.resize_size * 2]
    else:
        shape = [1, 3, *(list(preset.crop_size) * 2)[:2]]
    if ".video" in kind:
        shape.insert(2, 16)
    return [torch.empty(shape, device="meta")]


def parameters(model: nn.Module) -> int:
    """How many numbers an optimizer would see."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, *inputs: Any) -> int:
    """Of the matrix products and convolutions of one forward pass, on any device.

    PyTorch's counter counts a multiplication and an addition as two; the papers and
    torchvision's `_ops` (in billions) count them as one.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops() // 2


def count(name: str) -> tuple[int, int]:
    """Parameters and multiply-adds of a model of the registry, as published.

    Raises `ValueError` for an unknown name, detection and optical flow.
    """
    inputs = inputs_of(name)
    model = on_meta(name)
    return parameters(model), multiply_adds(model, *inputs)
