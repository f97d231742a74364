"""Composed scenes: exact boxes, the same scene whenever and wherever asked for."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.ops import box_iou, masks_to_boxes
from torchvision.transforms import v2

from ch04_reference_designs.scenes import (
    BACKGROUNDS,
    CLASSES,
    Scenes,
    boxes_of,
    compose,
)


def equal(one, other):
    (image, target), (image2, target2) = one, other
    return torch.equal(image, image2) and all(
        torch.equal(target[name], target2[name]) for name in target
    )


@pytest.mark.parametrize("train", [True, False])
def test_boxes_enclose_the_masks_exactly(train):
    scenes = Scenes(25, train=train, masks=True)
    for image, target in (scenes[i] for i in range(len(scenes))):
        boxes, masks = target["boxes"], target["masks"]
        assert image.shape == (3, 96, 96) and image.dtype == torch.uint8
        assert boxes.dtype == torch.float32 and target["labels"].dtype == torch.int64
        assert 1 <= len(boxes) <= 4 and boxes.shape == (len(masks), 4)
        for (x1, y1, x2, y2), mask in zip(boxes.int().tolist(), masks, strict=True):
            assert mask[y1:y2, x1:x2].sum() == mask.sum()  # nothing outside
            assert mask[y1].any() and mask[y2 - 1].any()  # and nothing to spare
            assert mask[:, x1].any() and mask[:, x2 - 1].any()
        assert masks.sum(0).max() <= 1  # each pixel shows one object
        assert set(target["labels"].tolist()) <= set(range(1, len(CLASSES)))


def test_boxes_of_agrees_with_torchvision_but_for_the_last_pixel():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, 2:5, 3:7], masks[1, 6, 3] = True, True
    found = boxes_of(masks)
    assert found.tolist() == [[3, 2, 7, 5], [3, 6, 4, 7]]
    torch.testing.assert_close(
        found - torch.tensor([0, 0, 1, 1]), masks_to_boxes(masks)
    )
    assert boxes_of(masks[:0]).shape == (0, 4)
    with pytest.raises(ValueError, match="without a pixel"):
        boxes_of(torch.zeros(1, 4, 4, dtype=torch.bool))


def test_the_object_is_where_its_mask_says():
    random = np.random.default_rng(0)
    empty, boxes, labels, masks = compose(random, objects=(0, 0))
    assert len(boxes) == len(labels) == len(masks) == 0
    assert empty.shape == (3, 96, 96) and masks.shape == (0, 96, 96)
    # the same numbers are drawn for the background, then one object is pasted on it
    image, _, _, masks = compose(np.random.default_rng(0), objects=(1, 1))
    changed = (image != empty).any(0)
    assert changed[masks[0]].float().mean() > 0.95
    assert changed[~masks[0]].float().mean() < 0.05  # soft edges only


def test_the_same_scene_each_time_and_another_for_each_index_epoch_seed_and_part():
    scenes = Scenes(10)
    assert equal(scenes[3], scenes[3]) and equal(scenes[3], Scenes(99)[3])
    others = [Scenes(10, seed=1), Scenes(10, train=False), Scenes(10)]
    others[2].set_epoch(1)
    items = [scenes[3], scenes[4], *(other[3] for other in others)]
    assert len({image.numpy().tobytes() for image, _ in items}) == 5
    others[2].set_epoch(0)
    assert equal(others[2][3], scenes[3])


def test_training_and_held_out_scenes_share_no_background():
    assert not set(BACKGROUNDS[True]) & set(BACKGROUNDS[False])


def test_transforms_move_boxes_and_leave_the_global_generator_alone():
    flip = Scenes(5, transforms=v2.RandomHorizontalFlip(p=1), masks=True)
    plain = Scenes(5)
    image, target = flip[2]
    torch.testing.assert_close(image, plain[2][0].flip(-1))
    torch.testing.assert_close(boxes_of(target["masks"]), target["boxes"].data)
    before = torch.get_rng_state()
    jitter = Scenes(5, transforms=v2.ColorJitter(0.5))
    assert torch.equal(jitter[1][0], jitter[1][0])
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(jitter[1][1]["boxes"], tv_tensors.BoundingBoxes)


def test_spawned_workers_give_the_same_scenes(spawning):
    scenes = Scenes(4, transforms=v2.RandomHorizontalFlip())
    assert equal(pickle.loads(pickle.dumps(scenes))[1], scenes[1])
    loader = DataLoader(
        scenes,
        batch_size=None,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    for i, item in enumerate(loader):
        assert equal(item, scenes[i])


def test_larger_scenes_and_how_much_objects_overlap():
    image, target = Scenes(1, size=(120, 200), sides=(20, 30), objects=(12, 12))[0]
    assert image.shape == (3, 120, 200)
    assert 8 <= len(target["labels"]) <= 12
    overlap = box_iou(target["boxes"].data, target["boxes"].data).fill_diagonal_(0)
    assert overlap.max() < 0.7


def test_bad_input():
    with pytest.raises(ValueError, match="count=0"):
        Scenes(0)
    with pytest.raises(ValueError, match=r"sides=\(28, 100\)"):
        Scenes(1, sides=(28, 100))
    with pytest.raises(ValueError, match=r"sides=\(40, 30\)"):
        Scenes(1, sides=(40, 30))
    with pytest.raises(IndexError, match="scenes 0 to 4, not 5"):
        Scenes(5)[5]
    assert len([*Scenes(2)]) == 2  # a loop over it ends
