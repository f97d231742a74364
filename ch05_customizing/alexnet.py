"""AlexNet as a class of one's own, with what one does to a finished architecture.

A smaller first layer, another head, part of somebody's weights, and a count of what
each layer costs. Imports PyTorch only: can be copied alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

KINDS = (nn.Conv2d, nn.Linear)
#  channels, kernel, stride, padding, pooled after it
CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


class AlexNet(nn.Module):
    """(N, in_channels, H, W), H and W from 63 up -> (N, num_classes) logits.

    As it is, its weights have the names and shapes of `torchvision.models.alexnet`, the
    form of Krizhevsky's "One weird trick" (2014): 61,100,840 parameters. `width`
    multiplies all channels, `batch_norm` stands between convolution and ReLU, which
    AlexNet (2012) could not have had. Raises `ValueError` for numbers below 1 and for
    images that are too small. `device` and `dtype` are those of the parameters.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        in_channels: int = 3,
        width: float = 1.0,
        batch_norm: bool = False,
        dropout: float = 0.5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(num_classes, in_channels) < 1 or not width > 0:
            raise ValueError("num_classes, in_channels and width have to be positive")
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        layers: list[nn.Module] = []
        channels = in_channels
        for out, kernel, stride, padding, pooled in CONVOLUTIONS:
            out = max(1, round(width * out))
            layers.append(
                nn.Conv2d(channels, out, kernel, stride, padding, **where)
            )  # (N, out, H', W')
            if batch_norm:
                layers.append(nn.BatchNorm2d(out, **where))
            layers.append(nn.ReLU(inplace=True))
            if pooled:
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2))
            channels = out
        hidden = max(1, round(width * 4096))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(36 * channels, hidden, **where),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden, **where),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, num_classes, **where),
        )

    def forward(self, images: Tensor) -> Tensor:
        first = self.features[0]
        if images.ndim != 4 or images.size(1) != first.in_channels:
            raise ValueError(
                f"needs images (N, {first.in_channels}, H, W), "
                f"not {tuple(images.shape)}"
            )
        if min(images.shape[2:]) < 63:
            raise ValueError(
                f"images of {tuple(images.shape[2:])} pixels vanish in the pooling: "
                "63 by 63 is the least"
            )
        maps = self.avgpool(self.features(images))  # (N, 256, 6, 6)
        return self.classifier(maps.flatten(1))  # (N, num_classes)


def replace_head(model: nn.Module, num_classes: int) -> nn.Linear:
    """Put a new last layer into `model.classifier`, which keeps its other weights.

    Returns the new layer, to train it alone or faster. It is where the old one was:
    same device, same dtype.
    """
    old = model.classifier[-1]
    model.classifier[-1] = nn.Linear(
        old.in_features,
        num_classes,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    return model.classifier[-1]


def to_grey(weight: Tensor) -> Tensor:
    """A first layer's (out, 3, k, k) -> (out, 1, k, k), which sees grey as it was.

    A grey image has three equal channels, so the three kernels add up to one: exact if
    all three are normalized alike. Raises `ValueError` for another shape.
    """
    if weight.ndim != 4 or weight.size(1) != 3:
        raise ValueError(f"needs weights (out, 3, k, k), not {tuple(weight.shape)}")
    return weight.sum(dim=1, keepdim=True)


class Loaded(NamedTuple):
    """What `load_matching` did, in names."""

    loaded: list[str]
    missing: list[str]  # the model has it, the weights have not
    unexpected: list[str]  # the other way round
    other_shape: list[str]


def load_matching(model: nn.Module, weights: Mapping[str, Tensor]) -> Loaded:
    """Load the weights whose name and shape are right; say which were left out.

    `load_state_dict(strict=False)` forgives names, not shapes. Raises `ValueError`
    where nothing fits: then the names have a prefix, or it is another architecture.
    """
    own = model.state_dict()
    common = own.keys() & weights.keys()
    fits = {
        n: weights[n] for n in own if n in common and weights[n].shape == own[n].shape
    }
    if not fits:
        raise ValueError(
            f"no weight fits: the model has {next(iter(own), 'none')!r}, "
            f"the file {next(iter(weights), 'none')!r}"
        )
    model.load_state_dict(fits, strict=False)
    return Loaded(
        list(fits),
        [name for name in own if name not in common],
        [name for name in weights if name not in common],
        [name for name in own if name in common and name not in fits],
    )


@torch.no_grad()
def add_batch_norm(plain: Mapping[str, Tensor], model: AlexNet) -> dict[str, Tensor]:
    """A plain AlexNet's weights under the names of `model`, one with `batch_norm`.

    In eval mode the network with them answers as the plain one does: each new layer
    begins as one that changes nothing.
    """
    convolutions = [
        f"features.{i}"
        for i, m in enumerate(model.features)
        if isinstance(m, nn.Conv2d)
    ]
    old = [n.removesuffix(".weight") for n in plain if n.endswith(".weight")]
    renamed = dict(zip(old, convolutions, strict=False))  # those of the classifier stay
    state = {}
    for name, value in plain.items():
        layer, _, kind = name.rpartition(".")
        state[f"{renamed.get(layer, layer)}.{kind}"] = value
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            zeros, ones = (
                torch.zeros(module.num_features),
                torch.ones(module.num_features),
            )
            state |= {f"{name}.weight": ones, f"{name}.bias": zeros}
            state |= {f"{name}.running_mean": zeros.clone()}
            state |= {f"{name}.running_var": ones - module.eps}
            state |= {f"{name}.num_batches_tracked": torch.tensor(0)}
    return state


class Cost(NamedTuple):
    """Of one layer, for one image."""

    name: str
    shape: tuple[int, ...]  # of what comes out, without the batch
    parameters: int
    multiplications: int


def costs(model: nn.Module, shape: tuple[int, ...]) -> list[Cost]:
    """What each convolution and each linear layer costs, for inputs (1, *shape).

    A number that comes out of such a layer takes as many multiplications as one of its
    rows or kernels has weights. On the device "meta" it takes neither time nor memory.
    """
    found, handles = [], []

    def note(name: str):
        def hook(module, _, output):
            weight = module.weight
            count = output[0].numel() // len(weight) * weight.numel()
            size = sum(p.numel() for p in module.parameters(recurse=False))
            found.append(Cost(name, tuple(output.shape[1:]), size, count))

        return hook

    for name, module in model.named_modules():
        if isinstance(module, KINDS):
            handles.append(module.register_forward_hook(note(name)))
    weight = next(model.parameters())
    modes = [(module, module.training) for module in model.modules()]
    model.eval()  # batch norm would count the zeros
    try:
        with torch.no_grad():
            model(torch.zeros(1, *shape, device=weight.device, dtype=weight.dtype))
    finally:
        for module, mode in modes:
            module.training = mode
        for handle in handles:
            handle.remove()
    return found
