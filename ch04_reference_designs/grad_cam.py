"""Grad-CAM: which places of an image speak for a class, as a picture.

After Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks" (2017).
Imports PyTorch only: this module can be copied alone to another project.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def grad_cam(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor | None = None
) -> Tensor:
    """Maps (N, H, W) from 0 to 1 for images (N, 3, H, W): where `layer` saw the class.

    layer: the name of the module whose output (N, C, h, w) is weighted, usually the
        last one that still knows places.
    classes: (N,) whole numbers; the predicted ones by default.

    Each map is divided by its maximum; where nothing speaks for the class it is 0. The
    modules are left in the modes in which they came, and no `.grad` is touched. Raises
    `AttributeError` where there is no such module, `ValueError` where its output is no
    map, or the layer is not run.
    """
    seen: dict[str, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise ValueError(f"{layer} gives no map (N, C, h, w); take an earlier one")
        if not output.requires_grad:  # where all is frozen
            seen["map"] = output.detach().requires_grad_()
            return seen["map"].clone()  # the next layer may work in place
        seen["map"] = output
        return output

    modes = {module: module.training for module in model.modules()}
    model.eval()
    hook = model.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = model(images)  # (N, classes)
            if "map" not in seen:
                raise ValueError(f"{layer} was not run by the model")
            classes = logits.argmax(1) if classes is None else classes.to(logits.device)
            chosen = logits.gather(1, classes[:, None]).sum()  # images do not mix
            (gradient,) = torch.autograd.grad(chosen, seen["map"])  # (N, C, h, w)
    finally:
        hook.remove()
        for module, mode in modes.items():
            module.training = mode
    weight = gradient.mean(dim=(2, 3), keepdim=True)  # (N, C, 1, 1)
    maps = (weight * seen["map"].detach()).sum(dim=1, keepdim=True).relu()
    maps = F.interpolate(
        maps, size=images.shape[-2:], mode="bilinear", align_corners=False
    )
    maps = maps.squeeze(1)  # (N, H, W)
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def overlay(images: Tensor, maps: Tensor, *, strength: float = 0.75) -> Tensor:
    """Images (N, 3, H, W) in [0, 1], dark and grey where the maps (N, H, W) are low.

    What the network looked at keeps its colours: this needs no colour scale, and shows
    the same to every eye. Raises `ValueError` for shapes that do not belong together.
    """
    if images.ndim != 4 or maps.shape != (len(images), *images.shape[-2:]):
        raise ValueError(
            f"needs images (N, 3, H, W) and maps (N, H, W), not {tuple(images.shape)} "
            f"and {tuple(maps.shape)}"
        )
    grey = images.mean(dim=1, keepdim=True) * (1 - strength)  # (N, 1, H, W)
    light = maps.unsqueeze(1)
    return light * images + (1 - light) * grey
