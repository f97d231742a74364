import matplotlib.pyplot as plt
import pytest
import torch
from torch.distributions import Normal, Poisson, Uniform

from ch02_tensors.samples import densities, draw_histograms, frequencies


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_frequencies_count_also_what_is_missing():
    values, shares = frequencies(torch.tensor([3.0, 5.0, 5.0, 3.0]))
    assert values.tolist() == [3, 4, 5]
    assert shares.tolist() == [0.5, 0, 0.5]


def test_frequencies_of_negative_numbers():
    values, shares = frequencies(torch.tensor([-1, 0, 0, 0]))
    assert values.tolist() == [-1, 0]
    assert shares.tolist() == [0.25, 0.75]


def test_frequencies_refuse_other_numbers():
    with pytest.raises(ValueError, match="whole"):
        frequencies(torch.tensor([1.0, 2.5]))


def test_frequencies_refuse_an_empty_sample():
    with pytest.raises(ValueError, match="whole"):
        frequencies(torch.tensor([]))


def test_densities_refuse_a_sample_of_one_number():
    with pytest.raises(ValueError, match="does not spread: from 3 to 3"):
        densities(torch.full((9,), 3.0))


@pytest.mark.parametrize("tail", [0.0, 0.1])
def test_densities_cover_the_share_between_the_tails(tail):
    sample = torch.linspace(2, 6, 1001)
    edges, density = densities(sample, bins=8, tail=tail)
    assert edges.shape == (9,) and density.shape == (8,)
    area = (density * edges.diff()).sum()
    torch.testing.assert_close(area, torch.tensor(1 - 2 * tail), atol=0.01, rtol=0)
    torch.testing.assert_close(density, torch.full((8,), 0.25), atol=0.01, rtol=0)


def test_one_panel_each_and_the_law_in_it():
    generator = torch.Generator().manual_seed(0)
    samples = {
        "uniform": (torch.rand(500, generator=generator), Uniform(0.0, 1.0)),
        "poisson": (
            torch.poisson(torch.full((500,), 3.0), generator=generator),
            Poisson(3.0),
        ),
    }
    uniform, poisson = draw_histograms(samples).axes
    assert [uniform.get_title(), poisson.get_title()] == ["uniform", "poisson"]
    assert set(uniform.lines[0].get_ydata().tolist()) == {1.0}
    values = torch.as_tensor(poisson.lines[0].get_xdata()).float()
    expected = Poisson(3.0).log_prob(values).exp()
    drawn = torch.as_tensor(poisson.lines[0].get_ydata())
    torch.testing.assert_close(drawn, expected)
    _, shares = frequencies(samples["poisson"][0])
    assert [bar.get_height() for bar in poisson.patches] == shares.tolist()
    edges, density = densities(samples["uniform"][0])
    (stairs,) = uniform.patches
    assert stairs.get_data().values.tolist() == density.tolist()
    assert stairs.get_data().edges.tolist() == edges.tolist()


def test_panels_without_a_sample_stay_empty():
    sample = (torch.linspace(-1, 1, 100), Normal(0.0, 1.0))
    figure = draw_histograms({str(i): sample for i in range(5)})
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False] * 3
