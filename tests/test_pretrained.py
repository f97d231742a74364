"""ImageNet weights: where they are looked for, what is checked, how they are loaded."""

import hashlib
import io
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torchvision import models

from ch01_intro import pretrained
from ch01_intro.assets import AssetUnavailable, DamagedFile
from ch01_intro.pretrained import HASH_IN_NAME, imagenet_model, imagenet_weights
from tests.loopback import sends, serving

SMALL = "squeezenet1_1"  # 5 MB of weights, the smallest of torchvision's classifiers


class Folders(SimpleNamespace):
    """The two folders, and a weights file whose name holds its true hash."""

    ours: Path
    hub: Path
    file: str
    content: bytes


def saved(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def pretend(monkeypatch, name: str, content: bytes, base="https://pytorch.invalid"):
    """Make torchvision believe that `content` is what the default weights hold."""
    weights = models.get_model_weights(name).DEFAULT
    file = f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(weights.value, "url", f"{base}/{file}")
    return weights, file


@pytest.fixture
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    content = saved({"weight": torch.arange(3)})
    _, file = pretend(monkeypatch, "resnet18", content)
    ours, hub = tmp_path / "data" / "weights", tmp_path / "torch/hub/checkpoints"
    return Folders(ours=ours, hub=hub, file=file, content=content)


def put(folder: Path, file: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return folder / file


def test_every_classifier_has_a_hash_in_its_file_name():
    for name in models.list_models(module=models):
        assert HASH_IN_NAME.search(models.get_model_weights(name).DEFAULT.url), name
    url = models.get_model_weights("resnet18").DEFAULT.url
    assert HASH_IN_NAME.search(url)[1] == "f37072fd"


def test_our_folder_comes_before_the_cache_of_torch_hub(folders):
    cached = put(folders.hub, folders.file, folders.content)
    weights, path = imagenet_weights("resnet18")
    assert path == cached
    assert weights is models.ResNet18_Weights.DEFAULT
    ours = put(folders.ours, folders.file, folders.content)
    assert imagenet_weights()[1] == ours


@pytest.mark.parametrize("folder", ["ours", "hub"])
def test_a_file_without_the_hash_of_its_name(folders, folder):
    path = put(getattr(folders, folder), folders.file, folders.content[:-1])
    with pytest.raises(DamagedFile) as caught:
        imagenet_weights()
    assert str(path) in str(caught.value) and "Delete it" in str(caught.value)


def test_nowhere(folders, monkeypatch):
    with pytest.raises(AssetUnavailable) as caught:
        imagenet_model("resnet18")
    first, places, *_ = str(caught.value).splitlines()
    assert folders.file in first and "PYTORCH_BOOK_OFFLINE" in first
    assert str(folders.ours) in places and str(folders.hub) in places
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE")
    with pytest.raises(AssetUnavailable, match="no download was asked for"):
        imagenet_weights("resnet18", download=False)


def test_a_download_goes_to_our_folder_and_is_said(folders, monkeypatch, capsys):
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(sends(folders.content)) as url:
        pretend(monkeypatch, "resnet18", folders.content, base=url)
        _, path = imagenet_weights("resnet18")
    assert path == folders.ours / folders.file
    assert path.read_bytes() == folders.content
    output = capsys.readouterr()
    assert output.out == ""
    assert (
        output.err == f"{folders.file}: downloaded, from 127.0.0.1, checksum agrees\n"
    )
    imagenet_weights("resnet18")
    assert capsys.readouterr().err == ""


def test_a_download_with_the_wrong_hash(folders, monkeypatch):
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(sends(b"a login page")) as url:
        pretend(monkeypatch, "resnet18", folders.content, base=url)
        with pytest.raises(AssetUnavailable, match="expected sha256"):
            imagenet_weights("resnet18")
    assert list(folders.ours.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [("resnet19", "resnet18"), ("ResNet18", "resnet18"), ("raft_small", ""), ("", "")],
)
def test_a_name_that_torchvision_does_not_know(folders, name, hint):
    with pytest.raises(ValueError, match=f"no classifier {name!r}") as caught:
        imagenet_weights(name)
    assert hint in str(caught.value)


def test_the_model_has_the_weights_and_is_in_eval_mode(folders, monkeypatch):
    torch.manual_seed(0)
    expected = models.get_model(SMALL, weights=None).eval()
    content = saved(expected.state_dict())
    weights, file = pretend(monkeypatch, SMALL, content)
    put(folders.ours, file, content)
    model, found = imagenet_model(SMALL)
    assert found is weights and len(found.meta["categories"]) == 1000
    assert not any(module.training for module in model.modules())
    torch.testing.assert_close(model.state_dict(), expected.state_dict())
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    # torchvision is as it was
    assert "get_state_dict" not in vars(type(weights))


def test_families_whose_weights_need_more_than_load_state_dict(folders, monkeypatch):
    """GoogLeNet: normalises its input anew and drops its auxiliary heads."""
    expected = models.googlenet(weights=None, init_weights=False)
    content = saved(expected.state_dict())
    _, file = pretend(monkeypatch, "googlenet", content)
    put(folders.ours, file, content)
    model, _ = imagenet_model("googlenet")
    assert model.transform_input and model.aux1 is None
    torch.testing.assert_close(model.fc.weight, expected.fc.weight)


def test_code_in_a_weights_file_is_not_run(folders, monkeypatch, tmp_path):
    class Surprise:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "surprise"),)

    content = saved({"weight": Surprise()})
    _, file = pretend(monkeypatch, SMALL, content)
    put(folders.ours, file, content)
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        imagenet_model(SMALL)
    assert not (tmp_path / "surprise").exists()


def test_the_default_is_resnet18(folders):
    put(folders.ours, folders.file, folders.content)
    weights, _ = pretrained.imagenet_weights()
    assert isinstance(weights, models.ResNet18_Weights)
