import pytest
import torch

from ch01_intro import network
from ch01_intro.network import (
    WEIGHTS,
    SixViews,
    SmallResNet,
    facts,
    normalize,
    pack,
    save_file,
    small_network,
    unpack,
)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.pt"
    save_file(SmallResNet(), path, {"test_accuracy": "0.1"})
    return path


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (33, 47)])
def test_images_in_logits_out(size):
    logits = SmallResNet().eval()(torch.zeros(2, 3, *size))
    assert logits.shape == (2, 10)


def test_six_views_show_the_same_picture():
    image = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    views = SixViews.views(image)
    assert views.shape == (6, 2, 3, 4, 5)
    assert torch.equal(views[0], image)
    assert torch.equal(views[1][..., :-1, :-1], image[..., 1:, 1:])  # up and left
    assert torch.equal(views[2][..., 1:, 1:], image[..., :-1, :-1])  # down and right
    assert torch.equal(views[3:], SixViews.views(image.flip(-1))[:3])


def test_six_views_give_the_mean_of_six_answers():
    torch.manual_seed(0)
    model, x = SmallResNet().eval(), torch.randn(2, 3, 32, 32)
    expected = sum(model(view) for view in SixViews.views(x)) / 6
    torch.testing.assert_close(SixViews(model)(x), expected)
    torch.testing.assert_close(SixViews(model)(x.flip(-1)), expected)  # left or right


def test_the_docstring_counts_the_parameters():
    count = sum(p.numel() for p in SmallResNet().parameters())
    assert f"{count:,} parameters" in SmallResNet.__doc__


def test_the_weights_of_the_repository_are_small_and_say_how_good_they_are():
    assert WEIGHTS.stat().st_size <= 1_000_000
    assert float(facts()["test_accuracy"]) >= 0.905
    assert float(facts()["test_accuracy_six_views"]) >= 0.92


def test_it_comes_ready_to_predict():
    model = small_network()
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_saving_and_loading_gives_the_same_answers(tmp_path):
    torch.manual_seed(0)
    save_file(SmallResNet(), tmp_path / "a.pt", {"note": "hello"})
    once = small_network(path=tmp_path / "a.pt")
    save_file(once, tmp_path / "b.pt", {})  # rounding what is rounded changes nothing
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(small_network(path=tmp_path / "b.pt")(x), once(x))
    assert facts(tmp_path / "a.pt") == {"note": "hello"}


def test_packing_is_off_by_half_a_step_at_most():
    torch.manual_seed(0)
    weight = torch.randn(5, 4, 3, 3) * torch.logspace(-3, 3, 5).view(-1, 1, 1, 1)
    weight[0] = 0  # a channel that is switched off
    numbers, scale = pack(weight)
    assert numbers.dtype == torch.int8 and scale.shape == (5, 1, 1, 1)
    error = (unpack((numbers, scale)) - weight).abs()
    assert (error <= 0.501 * scale).all()
    assert error[1:].amax() > 0


def test_what_is_no_pair_is_not_unpacked():
    bias = torch.randn(3)
    assert unpack(bias) is bias


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(content, path):
        path.write_bytes(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(network.torch, "save", fail)
    with pytest.raises(OSError, match="no space"):
        save_file(SmallResNet(), saved, {})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="train_network"):
        small_network(path=tmp_path / "none.pt")


@pytest.mark.parametrize("keep", [0, 3, 1000, -1000])
def test_a_damaged_file_is_named(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"weights\.pt is damaged"):
        small_network(path=saved)


def test_a_flipped_byte_in_the_middle_is_noticed(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 0xFF
    saved.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="damaged"):
        small_network(path=saved)


def test_the_weights_of_another_network(tmp_path):
    other = torch.nn.Linear(3, 4)
    save_file(other, tmp_path / "linear.pt", {})
    with pytest.raises(ValueError, match="does not fit SmallResNet"):
        small_network(path=tmp_path / "linear.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="something else"):
        small_network(path=tmp_path / "list.pt")


def test_normalize():
    mean = torch.tensor(network.MEAN).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    torch.testing.assert_close(normalize(mean), torch.zeros(2, 3, 4, 4))
    one_off = mean + torch.tensor(network.STD).view(1, 3, 1, 1)
    torch.testing.assert_close(normalize(one_off), torch.ones(2, 3, 4, 4))
