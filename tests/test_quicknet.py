import pytest
import torch

from ch03_deep_learning.quicknet import QuickNet


@pytest.mark.parametrize("size", [(32, 32), (9, 9), (33, 47)])
@pytest.mark.parametrize("residual", [True, False])
def test_images_in_logits_out(size, residual):
    net = QuickNet(7, widths=(4, 8, 12), residual=residual).eval()
    assert net(torch.zeros(2, 3, *size)).shape == (2, 7)


@pytest.mark.parametrize("shape", [(2, 3, 8, 32), (2, 1, 32, 32), (3, 32, 32)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"needs images \(N, 3, H, W\)"):
        QuickNet()(torch.zeros(shape))


def test_the_docstring_counts_the_parameters():
    count = sum(p.numel() for p in QuickNet().parameters())
    assert f"{count:,} parameters" in QuickNet.__doc__


def test_gradients_reach_all_but_the_first_filters():
    net = QuickNet(widths=(4, 8, 12))
    net(torch.randn(4, 3, 16, 16)).square().sum().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None]
    assert without == ["whiten.weight"]
