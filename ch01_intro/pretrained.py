"""torchvision's ImageNet classifiers, with weights from the disk or downloaded.

Looked for in `data_home() / "weights"`, then where torch.hub keeps its downloads; a
download goes to the first of the two. The hash in the file's name is always checked.
"""

import difflib
import re
import sys
from pathlib import Path
from unittest import mock

import torch
from torch import nn
from torchvision import models
from torchvision.models import WeightsEnum

from ch01_intro.assets import Source, data_home, obtain

HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.pth$")  # resnet18-f37072fd.pth


def imagenet_weights(
    name: str = "resnet18", *, download: bool = True
) -> tuple[WeightsEnum, Path]:
    """The best weights that torchvision has for this classifier, and their file.

    `name`: one of `torchvision.models.list_models(module=torchvision.models)`.
    A download says so on stderr. Raises `AssetUnavailable` where the file is not on
    disk and can not (or, with `download=False`, shall not) be downloaded,
    `DamagedFile` where its content does not have the hash in its name, and
    `ValueError` for a name that torchvision does not know.
    """
    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name.lower(), known)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"torchvision has no classifier {name!r}{hint}")
    weights = models.get_model_weights(name).DEFAULT
    file = weights.url.rpartition("/")[2]
    found = obtain(
        file,
        urls=[weights.url] if download else [],
        sha256=HASH_IN_NAME.search(file)[1],
        folder=data_home() / "weights",
        also=[Path(torch.hub.get_dir()) / "checkpoints" / file],
    )
    if found.source is Source.DOWNLOAD:
        print(found, file=sys.stderr)
    return weights, found.path


def imagenet_model(
    name: str = "resnet18", *, download: bool = True
) -> tuple[nn.Module, WeightsEnum]:
    """The classifier with its ImageNet weights, in eval mode on the CPU, and the
    `weights`: their `meta["categories"]` names the 1000 classes, `transforms()` is
    what an image has to go through. Raises what `imagenet_weights` raises.
    """
    weights, path = imagenet_weights(name, download=download)
    state = torch.load(path, map_location="cpu", weights_only=True)
    # torchvision's builder shall put them in: for some families it has to rename keys
    # (DenseNet) or to set options (GoogLeNet, ViT). It is only kept from downloading.
    with mock.patch.object(type(weights), "get_state_dict", return_value=state):
        return models.get_model(name, weights=weights).eval(), weights
