"""The detectors: heads, gradients, a batch learnt by heart, saved and loaded."""

import hashlib
import io
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import detection as models

from ch01_intro.assets import AssetUnavailable, DamagedFile, Source
from ch04_reference_designs import detection
from ch04_reference_designs.detection import (
    check_targets,
    coco_detector,
    coco_weights,
    empty_detector,
    freeze_norms,
    replace_head,
    small_detector,
)
from ch04_reference_designs.scenes import CLASSES, Scenes

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"  # smaller than the default


@pytest.fixture(scope="module")
def batch():
    scenes = [Scenes(4)[i] for i in range(4)]
    images = [image.float() / 255 for image, _ in scenes]
    return images, [target for _, target in scenes]


def test_four_losses_in_training_and_boxes_in_use(batch):
    torch.manual_seed(0)
    model = small_detector(len(CLASSES))
    losses = model(*batch)
    names = "loss_classifier loss_box_reg loss_objectness loss_rpn_box_reg"
    assert sorted(losses) == sorted(names.split())
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("backbone.0."):
            assert not parameter.requires_grad and parameter.grad is None
        else:
            assert parameter.grad is not None and parameter.grad.any(), name
    with torch.inference_mode():
        found = model.eval()(batch[0])
    for image in found:
        assert image["boxes"].shape == (len(image["labels"]), 4)
        assert image["scores"].shape == image["labels"].shape
        assert image["boxes"].min() >= 0 and image["boxes"].max() <= 96
        assert set(image["labels"].tolist()) <= set(range(1, len(CLASSES)))


def test_the_pretrained_features_are_those_of_chapter_1():
    from ch01_intro.network import small_network

    x = torch.rand(1, 3, 32, 32)
    backbone = small_detector(3).backbone
    with torch.inference_mode():
        expected = small_network().features[:7](x)
        torch.testing.assert_close(
            backbone[1](backbone[0](x)), expected, rtol=1e-3, atol=1e-3
        )
    random = small_detector(3, pretrained=False).backbone
    assert not torch.equal(random[0][0][0].weight, backbone[0][0][0].weight)


def test_a_batch_can_be_learnt_by_heart(batch):
    torch.manual_seed(0)
    model = small_detector(len(CLASSES)).train()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=2e-3
    )
    history = []
    for _ in range(25):
        loss = sum(model(*batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert sum(history[-3:]) < 0.55 * sum(history[:3])


def test_saved_and_loaded_gives_the_same_boxes(batch, tmp_path):
    model = small_detector(len(CLASSES)).eval()
    torch.save(model.state_dict(), tmp_path / "d.pt")
    state = torch.load(tmp_path / "d.pt", weights_only=True)
    fresh = empty_detector(len(CLASSES), size=64)
    fresh.load_state_dict(state)
    with torch.inference_mode():
        torch.testing.assert_close(fresh.eval()(batch[0]), model(batch[0]))


def test_an_image_without_objects(batch):
    from torchmetrics.detection import MeanAveragePrecision  # here: it takes seconds

    image, size = batch[0][0], len(CLASSES)
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    check_targets([image], [nothing], size)
    losses = small_detector(size).train()([image], [nothing])
    total = sum(losses.values())
    total.backward()
    assert total.isfinite() and losses["loss_box_reg"] == 0
    metric = MeanAveragePrecision()
    none = nothing | {"scores": torch.zeros(0)}
    metric.update([none], [nothing])
    assert metric.compute()["map"] == -1  # no objects, no average


def target(boxes, labels):
    return {"boxes": torch.tensor(boxes), "labels": torch.tensor(labels)}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (target([[30.0, 10.0, 20.0, 40.0]], [1]), r"target 0: box \[30.*turned round"),
        (target([[3.0, 10.0, 3.0, 40.0]], [1]), "empty or turned round"),
        (target([[3.0, 10.0, 97.0, 40.0]], [1]), "not inside the image of 96 x 96"),
        (target([[-1.0, 10.0, 9.0, 40.0]], [1]), "not inside"),
        (target([[3.0, 10.0, 9.0, 40.0]], [6]), r"labels \[6\].*in 1\.\.5"),
        (target([[3.0, 10.0, 9.0, 40.0]], [0]), "0 is the background"),
        (target([[3.0, 10.0, 9.0, 40.0]], [1, 2]), r"needs \(n, 4\) and \(n,\)"),
        (target([], []), r"for no object \(0, 4\)"),
        (target([[float("nan"), 1.0, 2.0, 2.0]], [1]), "not inside"),
    ],
)
def test_bad_targets(batch, case, words):
    with pytest.raises(ValueError, match=words):
        check_targets(batch[0][:1], [case], len(CLASSES))


def test_bad_images(batch):
    images, targets = batch
    check_targets(images, targets, len(CLASSES))
    with pytest.raises(ValueError, match="4 images, but 3 targets"):
        check_targets(images, targets[:3], len(CLASSES))
    with pytest.raises(ValueError, match=r"image 0 is .*uint8: needs floats"):
        check_targets([Scenes(1)[0][0]], targets[:1], len(CLASSES))


def test_a_new_head():
    with torch.device("meta"):
        model = models.fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
        body = {k for k in model.state_dict() if "box_predictor" not in k}
        assert replace_head(model, 6) is model
    assert model.roi_heads.box_predictor.cls_score.out_features == 6
    assert model.roi_heads.box_predictor.bbox_pred.out_features == 24
    assert {k for k in model.state_dict() if "box_predictor" not in k} == body
    with pytest.raises(ValueError, match="num_classes=1"):
        replace_head(model, 1)


def test_frozen_norms_are_not_woken():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    net[1].requires_grad_(False)
    x = torch.randn(2, 3, 8, 8)
    net(x)  # numbers of its own
    expected = net.eval()(x)
    freeze_norms(net)
    torch.testing.assert_close(net(x), expected)
    before = net[1].running_mean.clone()
    net.train()(x)
    assert torch.equal(net[1].running_mean, before)
    assert isinstance(net[2], nn.BatchNorm2d)  # it is trained


def test_the_large_detector_freezes_the_same_layers_with_and_without_weights():
    with torch.device("meta"):
        body = empty_detector(6, size=320, small=False).backbone.body
        theirs = models.fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    norms = [m for m in body.modules() if isinstance(m, nn.BatchNorm2d)]
    of_theirs = theirs.backbone.body.modules()
    assert 0 < len(norms) < sum(isinstance(m, nn.BatchNorm2d) for m in of_theirs)
    assert not isinstance(body.bn1, nn.BatchNorm2d)


# COCO weights: random ones stand in for them


@pytest.fixture
def pretended(monkeypatch, tmp_path, home):
    """The content of a weights file, and what makes torchvision ask for it."""
    hub = tmp_path / "hub"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(hub))
    torch.manual_seed(3)
    model = getattr(models, NAME)(weights=None, weights_backbone=None)
    packed = io.BytesIO()
    torch.save(model.state_dict(), packed)
    content = packed.getvalue()
    file = f"coco-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    url = f"https://pytorch.invalid/{file}"
    weights = SimpleNamespace(DEFAULT=SimpleNamespace(url=url))
    monkeypatch.setattr(detection, "get_model_weights", lambda name: weights)
    return SimpleNamespace(content=content, file=file, model=model, home=home, hub=hub)


def test_coco_weights_on_disk_then_with_a_new_head(pretended, monkeypatch, batch):
    with pytest.raises(AssetUnavailable, match="neither on disk"):
        coco_weights(NAME, download=False)
    cache = pretended.hub / "checkpoints"
    cache.mkdir(parents=True)
    (cache / pretended.file).write_bytes(pretended.content)
    found = coco_weights(NAME, download=False)
    assert found.source is Source.DISK and found.path.parent == cache
    monkeypatch.undo()  # the builder needs torchvision's own names again
    model = coco_detector(6, found.path, size=128, name=NAME)
    state, theirs = model.state_dict(), pretended.model.state_dict()
    same = [k for k in state if "box_predictor" not in k]  # frozen norms count nothing
    assert len(same) > 200 and all(torch.equal(state[k], theirs[k]) for k in same)
    assert model.roi_heads.box_predictor.cls_score.out_features == 6
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert frozen and model.transform.min_size == (128,)
    assert len(model.train()(*batch)) == 4


def test_damaged_coco_weights(pretended):
    folder = pretended.home / "weights"
    folder.mkdir(parents=True)
    (folder / pretended.file).write_bytes(pretended.content[:-1])
    with pytest.raises(DamagedFile, match=pretended.file):
        coco_weights(NAME)


@pytest.mark.parametrize("name", ["ssd300_vgg16", "fasterrcnn_resnet99"])
def test_other_detectors_are_refused(name):
    with pytest.raises(ValueError, match="is no Faster R-CNN"):
        coco_weights(name)
