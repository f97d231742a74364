"""The page in headless Chromium, against the real server in a process of its own."""

import base64
import io
import re

import pytest
from PIL import Image

from ch01_intro.network import CLASSES
from ch07_deployment.example import photo_path
from ch07_deployment.processes import free_port, running
from ch07_deployment.service import PAGE, Limits

PAGE_TEXT = PAGE.read_text(encoding="utf-8")
ANSWERED = "#details .bars li"


@pytest.fixture(scope="module")
def server():
    port = free_port()
    command = ["-m", "ch07_deployment.serve", "--port", str(port)]
    with running(command, port=port, ready="/ready", seconds=120) as server:
        yield server


KEEP_SIZES = """{
  const real = window.fetch;
  window.posted = [];
  window.fetch = (url, options) => {
    window.posted.push(options.body.get("file").size);
    return real(url, options);
  };
}"""


def posted(page) -> list[int]:
    """The bytes of each file that the page has sent."""
    return page.evaluate("window.posted")


class Seen:
    """What a page did: the addresses asked, and what went wrong."""

    def __init__(self, page) -> None:
        self.urls, self.errors = [], []
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self.console)

    def console(self, message) -> None:
        # of a refused request Chromium itself writes a line; the page says why
        if (
            message.type in ("error", "warning")
            and "Failed to load" not in message.text
        ):
            self.errors.append(message.text)


@pytest.fixture
def open_page(browser, server):
    """`open_page(**context)` -> a loaded page; at the end it must have been quiet."""
    contexts, all_seen = [], []

    def open_it(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.add_init_script(KEEP_SIZES)
        # else choosers are only caught from a moment after `expect_file_chooser` on
        page.on("filechooser", lambda chooser: None)
        all_seen.append(Seen(page))
        page.goto(server.url)
        return page

    yield open_it
    for context in contexts:
        context.close()
    for seen in all_seen:
        assert seen.errors == []
        elsewhere = [
            url
            for url in seen.urls
            if not url.startswith((server.url, "blob:", "data:"))
        ]
        assert elsewhere == []


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def choose(page, name="cat.png", mime="image/png", content=None) -> None:
    content = photo_path().read_bytes() if content is None else content
    file = {"name": name, "mimeType": mime, "buffer": content}
    page.set_input_files("#file", file)


def shares(page) -> list[float]:
    texts = page.locator(".bars .share").all_inner_texts()
    return [float(text.strip("<% ")) for text in texts]


# without a browser


def test_one_file_that_needs_no_other_and_no_inline_handlers():
    outside = re.findall(
        r'(?:src|href)\s*=\s*"(?!data:)|@import|url\(|//cdn', PAGE_TEXT
    )
    assert outside == [] and " onclick" not in PAGE_TEXT
    assert "default-src 'none'" in PAGE_TEXT and "connect-src 'self'" in PAGE_TEXT
    assert "innerHTML" not in PAGE_TEXT  # a label is text, whatever the model calls it


def test_what_the_page_scales_down_to_is_within_the_default_limits():
    bytes_, pixels = (
        float(re.search(rf"{name} = ([\de]+)", PAGE_TEXT)[1])
        for name in ("MAX_BYTES", "MAX_PIXELS")
    )
    assert bytes_ < Limits().max_bytes and pixels < Limits().max_pixels


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_is_wcag_aa(scheme):
    blocks = re.findall(r":root \{(.*?)\}", PAGE_TEXT, re.S)
    assert len(blocks) == 2
    colour = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    text = [("ink", "paper"), ("soft", "paper"), ("ink", "card"), ("soft", "card"),
            ("ink", "tint"), ("soft", "tint"), ("on-accent", "accent"),
            ("accent", "paper"), ("bad", "bad-tint"), ("ink", "bad-tint")]  # fmt: skip
    shapes = [("edge", "paper"), ("edge", "card"), ("accent", "card"),
              ("accent", "track"), ("second", "paper"),
              ("second", "track")]  # fmt: skip
    for one, other in text:
        assert contrast(colour[one], colour[other]) >= 4.5, (one, other)
    for one, other in shapes:
        assert contrast(colour[one], colour[other]) >= 3, (one, other)


# with one


def test_a_cat_by_the_file_chooser(open_page):
    page = open_page()
    with page.expect_file_chooser() as chosen:
        page.click("#zone")
    chosen.value.set_files(photo_path())
    page.wait_for_selector(ANSWERED)
    assert page.inner_text("#status strong") == "cat"
    assert page.locator(ANSWERED).count() == 5
    values = shares(page)
    assert values == sorted(values, reverse=True) and 50 < values[0] <= 100
    widths = page.eval_on_selector_all(
        ".bars .bar", "all => all.map(b => b.style.getPropertyValue('--share'))"
    )
    assert [round(float(w), 1) for w in widths[:1]] == values[:1]
    assert page.is_visible("#photo") and "chelsea.png" in page.get_attribute(
        "#photo", "alt"
    )
    assert posted(page) == [photo_path().stat().st_size]  # as it is


FILE = """async ({kind, data, name, type}) => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const transfer = new DataTransfer();
  if (name) transfer.items.add(new File([bytes], name, {type}));
  else transfer.setData("text/uri-list", "http://127.0.0.1/cat.jpg");
  const all = {bubbles: true, cancelable: true};
  const event = kind === "paste"
    ? new ClipboardEvent(kind, {...all, clipboardData: transfer})
    : new DragEvent(kind, {...all, dataTransfer: transfer});
  document.querySelector(kind === "paste" ? "body" : "#zone").dispatchEvent(event);
  return event.defaultPrevented;
}"""


def give(page, kind, name="cat.png", content=None):
    data = base64.b64encode(content or photo_path().read_bytes()).decode()
    return page.evaluate(
        FILE, {"kind": kind, "data": data, "name": name, "type": "image/png"}
    )


def test_a_photograph_that_is_dropped_or_pasted(open_page):
    page = open_page()
    assert give(page, "dragenter") and give(page, "dragover")
    assert "over" in page.get_attribute("#zone", "class")
    assert give(page, "drop")
    page.wait_for_selector(ANSWERED)
    assert "over" not in page.get_attribute("#zone", "class")
    assert page.inner_text("#status strong") == "cat"

    page = open_page()
    give(page, "drop", name="")  # a link and no file
    assert "not a file" in page.inner_text("#trouble")
    give(page, "paste")
    page.wait_for_selector(ANSWERED)
    assert page.inner_text("#trouble") == ""


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_by_keyboard_alone(open_page, key):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "zone"
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "3px"  # the focus can be seen
    with page.expect_file_chooser() as chosen:
        page.keyboard.press(key)
    chosen.value.set_files(photo_path())
    page.wait_for_selector(ANSWERED)
    assert page.evaluate("document.activeElement.id") == "zone"  # not lost
    status = page.locator("#status")
    assert status.get_attribute("aria-live") == "polite"
    assert re.fullmatch(r"cat\s+\d+\.\d%", status.inner_text().strip())
    assert "chelsea.png" in page.get_attribute("#zone", "aria-label")


@pytest.mark.parametrize(
    ("name", "mime", "content", "words"),
    [
        ("a.jpg", "image/jpeg", b"no photograph", "can not be read"),
        ("a.jpg", "image/jpeg", b"", "no photograph in this file"),
        ("a.txt", "text/plain", b"hello", "can not be read"),
    ],
)
def test_a_file_that_is_no_photograph(open_page, name, mime, content, words):
    page = open_page()
    choose(page, name, mime, content)
    page.wait_for_selector("#trouble strong")
    assert words in page.inner_text("#trouble")
    assert page.get_attribute("#trouble", "role") == "alert"
    assert page.locator("#trouble button").count() == 0  # again would not help
    assert not page.is_visible("#photo") and page.inner_text("#status") == ""
    choose(page)
    page.wait_for_selector(ANSWERED)
    assert page.inner_text("#trouble") == ""


def test_a_large_photograph_is_scaled_down_before_it_is_sent(open_page):
    page = open_page()
    cat = Image.open(photo_path()).convert("RGB").resize((6000, 4500))
    choose(page, "large.jpg", "image/jpeg", jpeg(cat))
    page.wait_for_selector(ANSWERED)
    assert page.inner_text("#status strong") == "cat"
    assert "scaled down to 2048 × 1536 pixels" in page.inner_text("#details")
    assert len(posted(page)) == 1 and posted(page)[0] < 1_000_000


def test_a_service_with_a_lower_limit_gets_a_smaller_one(open_page):
    page = open_page()
    page.route(
        "**/predict", lambda route: route.fulfill(status=413, body="{}"), times=1
    )
    choose(page)
    page.wait_for_selector(ANSWERED)
    assert "scaled down to 451 × 300" in page.inner_text("#details")
    page.route("**/predict", lambda route: route.fulfill(status=413, body="{}"))
    choose(page)
    page.wait_for_selector("#trouble strong")
    assert "too large" in page.inner_text("#trouble")


def test_a_busy_service_is_asked_again(open_page):
    page = open_page()
    busy = {"status": 503, "body": "{}", "headers": {"retry-after": "1"}}
    page.route("**/predict", lambda route: route.fulfill(**busy), times=1)
    choose(page)
    page.get_by_text("Trying again in 1 s").wait_for()
    page.wait_for_selector(ANSWERED)
    assert len(posted(page)) == 2


def test_a_service_that_is_away_or_fails(open_page):
    page = open_page()
    page.route("**/predict", lambda route: route.abort(), times=1)
    choose(page)
    page.wait_for_selector("#trouble strong")
    assert "does not answer" in page.inner_text("#trouble")
    page.route("**/predict", lambda route: route.fulfill(status=500), times=1)
    page.get_by_role("button", name="Try again").focus()
    page.keyboard.press("Enter")
    page.get_by_text("not your photograph's fault").wait_for()
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(ANSWERED)
    assert page.evaluate("document.activeElement.id") == "zone"


def test_the_newer_photograph_wins(open_page):
    page = open_page()
    held = []
    page.route("**/predict", lambda route: held.append(route), times=1)
    choose(page)
    page.wait_for_selector("#photo[alt*='cat.png']")
    choose(page, "rocket.jpg", "image/jpeg", photo_path("rocket.jpg").read_bytes())
    page.wait_for_selector(ANSWERED)
    assert "rocket.jpg" in page.get_attribute("#photo", "alt")
    assert page.inner_text("#trouble") == "" and len(held) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(open_page, scheme):
    page = open_page(
        viewport={"width": 320, "height": 640},
        has_touch=True,
        is_mobile=True,
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) == 320
    assert page.get_attribute("#shot", "capture") == "environment"
    with page.expect_file_chooser() as chosen:
        page.tap("#camera")
    chosen.value.set_files(photo_path())
    page.wait_for_selector(ANSWERED)
    assert page.evaluate(wide) == 320
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44
    name = page.evaluate(
        "getComputedStyle(document.querySelector('.bar')).animationName"
    )
    assert name == "none"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(246, 245, 241)", "dark": "rgb(19, 21, 25)"}[scheme]


def test_it_says_when_it_is_not_sure_and_names_the_ten_classes(open_page):
    page = open_page()
    even = [{"label": name, "probability": 0.2} for name in "abcde"]
    answer = {"model": "m", "predictions": even, "batch_size": 3, "milliseconds": 1.2}
    page.route("**/predict", lambda route: route.fulfill(json=answer))
    choose(page)
    page.wait_for_selector(ANSWERED)
    assert "not sure" in page.inner_text("#status")
    assert "2 ms by m in a batch of 3" in page.inner_text("#details")
    assert "trained on (m)" in page.inner_text("#known")  # the model was another one
    page.reload()
    text = page.inner_text("body").lower()
    assert "these ten only" in text and all(name in text for name in CLASSES)
