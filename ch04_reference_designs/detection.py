"""Detectors to fine-tune, and a check of what they are trained with.

`coco_detector` starts from weights that know 80 kinds of objects, `small_detector` from
chapter 1's classifier; both are torchvision's Faster R-CNN (Ren et al., 2015).
"""

from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torchvision.models import detection as models
from torchvision.models import get_model_weights
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from ch01_intro.assets import Asset, data_home, obtain
from ch01_intro.network import MEAN, STD, Residual, conv_block, small_network
from ch01_intro.pretrained import HASH_IN_NAME


def small_detector(
    num_classes: int, *, size: int = 64, pretrained: bool = True
) -> FasterRCNN:
    """A Faster R-CNN of 1.0 million parameters for objects of 0.25 to 0.7 of the image.

    Takes a list of images (3, H, W) in [0, 1] and resizes each so that its shorter side
    has `size` pixels. `num_classes` counts the background, class 0. The first seven
    layers of the backbone are chapter 1's network (random with `pretrained=False`), the
    first six of them frozen; the rest is new.
    """
    features = small_network(pretrained=pretrained).features
    for block in features.modules():  # batch norm becomes a part of the convolution
        if isinstance(block, nn.Sequential) and isinstance(block[1], nn.BatchNorm2d):
            block[0] = nn.utils.fuse_conv_bn_eval(block[0], block[1])
            block[1] = nn.Identity()
    backbone = nn.Sequential(
        features[:6].requires_grad_(False),  # (N, 96, H / 4, W / 4)
        features[6].requires_grad_(),  # biases that were folded in come frozen
        nn.Sequential(conv_block(96, 96), Residual(96)),
    )
    backbone.out_channels = 96
    return FasterRCNN(
        backbone.to(memory_format=torch.channels_last),
        min_size=size,
        max_size=4 * size,
        image_mean=MEAN,
        image_std=STD,
        rpn_anchor_generator=AnchorGenerator(
            sizes=(tuple(round(share * size) for share in (0.29, 0.44, 0.63)),),
            aspect_ratios=((0.7, 1.0, 1.5),),
        ),
        rpn_pre_nms_top_n_train=200,
        rpn_post_nms_top_n_train=64,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_test=100,
        rpn_batch_size_per_image=64,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=5, sampling_ratio=1),
        box_head=TwoMLPHead(96 * 5 * 5, 128),
        box_predictor=FastRCNNPredictor(128, num_classes),
        box_batch_size_per_image=24,
    )


def coco_weights(
    name: str = "fasterrcnn_resnet50_fpn_v2", *, download: bool = True
) -> Asset:
    """The file of torchvision's COCO weights for this detector, its hash checked.

    Looked for in `data_home() / "weights"`, then where torch.hub keeps its downloads,
    then downloaded. Raises `AssetUnavailable` where there is none, `DamagedFile` where
    it is not the right one, `ValueError` for a name that is no Faster R-CNN.
    """
    if not name.startswith("fasterrcnn_") or not hasattr(models, name):
        raise ValueError(
            f"{name!r} is no Faster R-CNN of torchvision.models.detection, as "
            "'fasterrcnn_resnet50_fpn_v2' is"
        )
    url = get_model_weights(name).DEFAULT.url
    file = url.rpartition("/")[2]
    return obtain(
        file,
        urls=[url] if download else [],
        sha256=HASH_IN_NAME.search(file)[1],
        folder=data_home() / "weights",
        also=[Path(torch.hub.get_dir()) / "checkpoints" / file],
    )


def coco_detector(
    num_classes: int,
    path: Path | str,
    *,
    size: int = 320,
    name: str = "fasterrcnn_resnet50_fpn_v2",
) -> FasterRCNN:
    """The detector with COCO weights from `path`, and a new head for `num_classes`.

    Its backbone's first layers are frozen, as torchvision does it, and their batch
    norms too. Images are resized so that the shorter side is `size`.
    """
    weights = get_model_weights(name).DEFAULT
    state = torch.load(path, map_location="cpu", weights_only=True)
    with mock.patch.object(type(weights), "get_state_dict", return_value=state):
        model = models.__dict__[name](weights=weights, min_size=size, max_size=4 * size)
    freeze_norms(model.backbone.body)
    return replace_head(model, num_classes)


def empty_detector(num_classes: int, *, size: int, small: bool = True) -> FasterRCNN:
    """A detector as `small_detector` or `coco_detector` builds it, to be loaded into.

    Its weights are random numbers; nothing is downloaded.
    """
    if small:
        return small_detector(num_classes, size=size, pretrained=False)
    model = models.fasterrcnn_resnet50_fpn_v2(
        weights=None,
        weights_backbone=None,
        num_classes=num_classes,
        min_size=size,
        max_size=4 * size,
    )
    for name in ("conv1", "bn1", "layer1"):  # those that torchvision freezes
        model.backbone.body.get_submodule(name).requires_grad_(False)
    freeze_norms(model.backbone.body)
    return model


def freeze_norms(module: nn.Module) -> None:
    """Make frozen batch norms in `module` such that no `train()` wakes, in place.

    They keep their numbers; `num_batches_tracked` goes.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and not child.weight.requires_grad:
            norm = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm)
        else:
            freeze_norms(child)


def replace_head(model: FasterRCNN, num_classes: int) -> FasterRCNN:
    """Give `model`, in place, a last layer for so many classes, background first."""
    if num_classes < 2:
        raise ValueError(f"num_classes={num_classes}: background and one more at least")
    in_features = model.roi_heads.box_predictor.cls_score.in_features
    model.roi_heads.box_predictor = FastRCNNPredictor(in_features, num_classes)
    return model


def check_targets(
    images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], num_classes: int
) -> None:
    """Raise `ValueError`, and say where, for what would train a detector wrongly.

    images: floats (3, H, W) in [0, 1]; targets: one dictionary each, with `boxes`
    (n, 4) in pixels x1, y1, x2, y2 inside the image and `labels` (n,) int64 in
    1..num_classes-1. An image without objects has boxes (0, 4) and labels (0,).
    """
    if len(images) != len(targets):
        raise ValueError(f"{len(images)} images, but {len(targets)} targets")
    for i, (image, target) in enumerate(zip(images, targets, strict=True)):
        if not image.is_floating_point() or image.ndim != 3:
            raise ValueError(
                f"image {i} is {tuple(image.shape)} of {image.dtype}: needs floats "
                "(3, H, W), as v2.ToDtype(torch.float32, scale=True) makes them"
            )
        boxes, labels = torch.as_tensor(target["boxes"]), target["labels"]
        if boxes.ndim != 2 or boxes.shape[1] != 4 or labels.shape != boxes.shape[:1]:
            raise ValueError(
                f"target {i} has boxes {tuple(boxes.shape)} and labels "
                f"{tuple(labels.shape)}: needs (n, 4) and (n,), for no object (0, 4)"
            )
        height, width = image.shape[-2:]
        low, high = boxes[:, :2], boxes[:, 2:]
        most = boxes.new_tensor([width, height])
        inside = ((low >= 0) & (high <= most)).all(1)
        for what, bad in {
            "is empty or turned round (needs x1 < x2 and y1 < y2)": (high <= low).any(
                1
            ),
            f"is not inside the image of {width} x {height}": ~inside,
        }.items():
            if bad.any():
                raise ValueError(f"target {i}: box {boxes[bad][0].tolist()} {what}")
        if len(labels) and not 1 <= labels.min() <= labels.max() < num_classes:
            raise ValueError(
                f"target {i} has labels {labels.tolist()}: they have to be in "
                f"1..{num_classes - 1}, and 0 is the background"
            )
