"""TensorBoard itself, in headless Chromium, on what `logged_run` has written."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from ch07_deployment.processes import free_port, running
from ch08_ecosystem.logged_run import log_run
from tests.alive import until

PATIENCE = 30  # seconds for a tab to be filled


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs") / "runs"
    log_run(logs / "slow", lr=0.001, epochs=2, everything=False)
    log_run(logs / "good", lr=0.01, epochs=3)
    port = free_port()
    command = ["-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port)]
    command += ["--host", "127.0.0.1"]
    with running(command, port=port, ready="/data/runs", seconds=120) as server:
        yield server


@pytest.fixture(scope="module")
def page(browser, server):
    """One page for all tabs; it must ask nobody else, and report no error."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE * 1000)
    urls, errors = [], []
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    yield page
    page.close()
    assert errors == []
    local = (server.url, "blob:", "data:")
    assert [url for url in urls if not url.startswith(local)] == []


@pytest.fixture
def tab(page, request):
    """The page, with the tab that the test is named after."""
    name = request.node.name.removeprefix("test_")
    page.evaluate("name => { window.location.hash = name }", name)
    return page


def colour(locator) -> float:
    """The share of an element's pixels that are neither grey nor white nor black."""
    pixels = np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))
    return float((np.ptp(pixels.astype(int), axis=2) > 40).mean())


def drawn(locator, share: float = 0.001) -> None:
    locator.wait_for()
    until(lambda: colour(locator) > share, PATIENCE, f"drawing in {locator}")


def test_timeseries(tab):
    drawn(tab.locator("scalar-card line-chart").first)
    assert tab.locator("scalar-card").count() >= 2
    tab.locator("card-view").first.wait_for()


def test_scalars(tab):
    for name in ("accuracy/mean", "accuracy/worst", "accuracy/best"):
        card = tab.locator("tf-scalar-card", has_text=name)
        drawn(card.first.locator("vz-line-chart2"))


def test_images(tab):
    image = tab.locator("tf-image-loader img").first
    image.wait_for()
    until(
        lambda: image.evaluate("image => image.naturalWidth") > 500, PATIENCE, "figure"
    )
    drawn(image, 0.05)


def test_histograms(tab):
    drawn(tab.locator("vz-histogram-timeseries").first, 0.02)


def test_distributions(tab):
    drawn(tab.locator("vz-distribution-chart").first, 0.02)


def test_graphs(tab):
    scene = tab.locator("tf-graph-scene")
    for name in ("DigitNet", "input", "output"):
        scene.locator("text", has_text=name).first.wait_for()


def test_text(tab):
    bold = tab.locator("tf-text-loader strong").first  # Markdown was understood
    bold.wait_for()
    assert bold.inner_text() == "DigitNet"


def test_pr_curves(tab):
    drawn(tab.locator("tf-pr-curve-card vz-line-chart2").first)
    tab.locator("tf-pr-curve-card").get_by_text("is it a 1").first.wait_for()


def test_hparams(tab):
    cells = tab.locator("tf-hparams-table-view vaadin-grid-cell-content")
    for text in ("lr", "final/val_accuracy", "0.0010000", "0.010000", "good/hparams"):
        cells.get_by_text(text, exact=True).first.wait_for()


def test_projector(tab):
    frame = tab.frame_locator("iframe").last
    inner = frame.frame_locator("iframe").first
    inner.get_by_text("Points:").first.wait_for()
    scatter = inner.locator("#scatter canvas").first
    scatter.wait_for()

    def dark() -> float:
        picture = Image.open(io.BytesIO(scatter.screenshot())).convert("L")
        return float((np.asarray(picture) < 100).mean())

    until(lambda: dark() > 0.001, PATIENCE, "cloud of digits")
    inner.get_by_text(re.compile(r"\b360\b")).first.wait_for()


def test_mesh(tab):
    drawn(tab.locator("tf-mesh-loader canvas").first, 0.02)


def test_audio(tab):
    sound = tab.locator("tf-audio-loader audio").first
    sound.wait_for()
    until(
        lambda: abs((sound.evaluate("a => a.duration") or 0) - 2) < 0.1,
        PATIENCE,
        "tone",
    )


def test_custom_scalars(tab):
    drawn(tab.locator("tf-custom-scalar-multi-line-chart-card vz-line-chart2").first)
    drawn(tab.locator("tf-custom-scalar-margin-chart-card vz-line-chart2").first, 0.02)
