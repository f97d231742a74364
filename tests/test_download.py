"""Downloads against small servers on this machine that fail in every way we know."""

import errno
import hashlib
import io
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ch01_intro import download as module
from ch01_intro.download import (
    AssetUnavailable,
    DamagedFile,
    download,
    offline,
    verify,
)
from tests.loopback import (
    drips,
    drips_headers,
    routes,
    sends,
    serving,
    silent,
    stops_after,
)
from tests.notebooks import ROOT

BODY = bytes(range(256)) * 800  # several pieces
SHA256 = hashlib.sha256(BODY).hexdigest()
GOOD = b"the good file that was there before"
SHORT = 0.3  # seconds; a time-out for the tests
NOT_HANGING = 20.0  # seconds; generous, for a busy machine


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """Downloads are allowed, and go to this machine without a proxy."""
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "weights" / "file.bin"


@pytest.fixture
def within():
    """Fails where the test took as long as something that hangs."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < NOT_HANGING


def files_below(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def fails(answer, path, *, error=AssetUnavailable, match=None, **options) -> str:
    """The message of a download that must fail, leaving what was there as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(GOOD)
    with serving(answer) as url, pytest.raises(error, match=match) as caught:
        download(f"{url}/file.bin", path, timeout=SHORT, **options)
    assert path.read_bytes() == GOOD
    assert files_below(path.parent) == ["file.bin"]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# what works


@pytest.mark.parametrize("digits", [SHA256, SHA256[:8], SHA256[:12].upper(), None])
@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_file_arrives(path, digits, size):
    with serving(sends(BODY)) as url:
        assert download(f"{url}/f", path, sha256=digits, size=size) == path
    assert path.read_bytes() == BODY
    assert files_below(path.parent) == ["file.bin"]


def test_it_replaces_an_older_file(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(GOOD)
    with serving(sends(BODY)) as url:
        download(f"{url}/f", path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_an_empty_file_and_one_of_unknown_length_arrive(path):
    with serving(sends(b"")) as url:
        assert download(f"{url}/f", path, size=0).read_bytes() == b""
    with serving(sends(BODY, announce=None)) as url:
        assert download(f"{url}/f", path, sha256=SHA256).read_bytes() == BODY


def test_the_home_folder_can_be_written_as_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with serving(sends(BODY)) as url:
        assert download(f"{url}/f", "~/file.bin") == tmp_path / "file.bin"


def test_redirects_are_followed(path):
    answers = {
        "/old": sends(b"", status=302, Location="/new"),
        "/new": sends(BODY),
    }
    with serving(routes(answers)) as url:
        assert download(f"{url}/old", path, sha256=SHA256).read_bytes() == BODY


def test_the_bar_is_shown_on_a_terminal_only(path, monkeypatch, capsys):
    with serving(sends(BODY)) as url:
        download(f"{url}/f", path)
        assert capsys.readouterr().err == ""  # not a terminal
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        download(f"{url}/f", path, progress=False)
        monkeypatch.setenv("TQDM_DISABLE", "1")
        download(f"{url}/f", path)
        assert capsys.readouterr().err == ""
        monkeypatch.setenv("TQDM_DISABLE", "0")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        download(f"{url}/f", path)
    shown = capsys.readouterr().err
    assert "file.bin: 100%" in shown and "205k/205k" in shown


# the network


def test_no_server(path, within):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening: the connection is refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/f"
        with pytest.raises(AssetUnavailable, match=r"(?i)refused") as caught:
            download(url, path, timeout=SHORT)
    assert url in str(caught.value)
    assert files_below(path.parent) == []


def test_offline_by_choice(path, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    asked = []
    with (
        serving(lambda *_: asked.append(1)) as url,
        pytest.raises(AssetUnavailable, match="PYTORCH_BOOK_OFFLINE"),
    ):
        download(f"{url}/f", path)
    assert not asked and not path.parent.exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("yes", True), ("0", False), ("", False), ("False", False)],
)
def test_values_of_the_offline_variable(monkeypatch, value, expected):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", value)
    assert offline() is expected


def test_offline_is_not_the_default():
    assert offline() is False


def test_a_server_that_says_nothing(path, within):
    assert "time-out of 0.3 s" in fails(silent, path)


def test_a_server_that_does_not_even_accept(path, within):
    with socket.create_server(("127.0.0.1", 0)) as never_accepts:
        url = f"http://127.0.0.1:{never_accepts.getsockname()[1]}/f"
        with pytest.raises(AssetUnavailable, match="time-out"):
            download(url, path, timeout=SHORT)
    assert files_below(path.parent) == []


def test_a_server_that_stops_in_the_middle(path, within):
    message = fails(stops_after(BODY[:1000], announce=len(BODY)), path)
    assert "time-out" in message and "after 1,000 bytes" in message


def test_a_body_that_drips(path, within):
    assert "too slow" in fails(drips(SHORT / 10), path)


def test_headers_that_drip(path, within):
    assert "too slow" in fails(drips_headers(SHORT / 10), path)


def test_a_name_that_is_looked_up_for_ever(path, monkeypatch, within):
    released = threading.Event()

    def look_up(*_, **__):
        released.wait(30)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        with pytest.raises(AssetUnavailable, match="time-out"):
            download("http://pytorch.invalid/f", path, timeout=SHORT)
    finally:
        released.set()
    assert files_below(path.parent) == []


def test_a_proxy_that_hangs(path, monkeypatch, within):
    monkeypatch.delenv("no_proxy")
    with serving(silent) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(AssetUnavailable, match="time-out"):
            download("http://pytorch.invalid/f", path, timeout=SHORT)


def test_cut_off_in_the_middle(path):
    message = fails(sends(BODY[:1000], announce=len(BODY)), path)
    assert f"1,000 of {len(BODY):,} bytes" in message


def test_a_chunked_body_that_is_cut_off(path):
    def answer(request, _):
        request.protocol_version = "HTTP/1.1"
        sends(b"", announce=None, **{"Transfer-Encoding": "chunked"})(request, _)
        request.wfile.write(b"3e8\r\n" + BODY[:600])

    fails(answer, path, match="after")


@pytest.mark.parametrize("status", [204, 206, 404, 500, 503])
def test_an_answer_that_is_not_200(path, status):
    body = b"" if status == 204 else b"an error page"
    fails(sends(body, status=status), path, match=f"HTTP {status}")


def test_redirects_in_a_circle(path):
    fails(sends(b"", status=302, Location="/file.bin"), path, match="HTTP 302")


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/f", "file:///etc/hostname"])
def test_a_redirect_to_something_else_than_http(path, target):
    fails(sends(b"", status=302, Location=target), path, match=r"not safe|not allowed")


def test_no_redirect_from_https_to_http():
    redirects = module._StrictRedirects()
    request = module.urllib.request.Request("https://pytorch.invalid/f")
    with pytest.raises(module.urllib.error.URLError, match="not safe"):
        redirects.redirect_request(
            request, io.BytesIO(), 302, "Found", {}, "http://pytorch.invalid/f"
        )


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/f", "f", ""])
def test_a_url_has_to_be_http(path, url):
    with pytest.raises(ValueError, match="https://"):
        download(url, path)


@pytest.mark.parametrize("url", ["http://", "http://a b/f", f"http://{'x' * 70}.y/"])
def test_a_url_that_makes_no_sense(path, url):
    with pytest.raises(AssetUnavailable):
        download(url, path, timeout=SHORT)
    assert files_below(path.parent) == []


# the content


def test_a_wrong_checksum(path):
    message = fails(sends(BODY), path, error=DamagedFile, sha256="0123abcd" * 8)
    assert str(path) in message
    assert "0123abcd" in message and SHA256 in message
    assert "Try again" in message


def test_a_wrong_prefix_shows_as_many_digits(path):
    message = fails(sends(BODY), path, error=DamagedFile, sha256="01234567")
    assert f"found {SHA256[:8]}." in message


@pytest.mark.parametrize("announce", [-1, None])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_wrong_size(path, announce, off):
    answer = sends(BODY, announce=announce)
    message = fails(answer, path, error=DamagedFile, size=len(BODY) + off)
    assert f"expected {len(BODY) + off:,} bytes" in message


def test_a_wrong_size_that_is_announced_is_not_waited_for(path):
    answer = stops_after(b"", announce=10_000_000)
    fails(answer, path, error=DamagedFile, size=1000, match=r"found 10,000,000")


def test_a_body_without_end_is_not_followed(path):
    sent = []

    def answer(request, stopped):
        sends(b"", announce=None)(request, stopped)
        for number in range(300):  # 60 MB, more than any buffer in between holds
            request.wfile.write(BODY)
            sent.append(number)

    fails(answer, path, error=DamagedFile, size=1000)
    assert len(sent) < 300


@pytest.mark.parametrize("digits", ["", "1234567", "x" * 8, "0" * 65])
def test_digits_that_are_no_checksum(path, digits):
    with pytest.raises(ValueError, match="hex digits"):
        download("http://127.0.0.1/f", path, sha256=digits)
    with pytest.raises(ValueError, match="hex digits"):
        verify(path, digits)


def test_verify(tmp_path):
    file = tmp_path / "file.bin"
    file.write_bytes(BODY)
    assert verify(file) == verify(str(file), SHA256, len(BODY)) == file
    assert verify(file, SHA256[:8]) == file
    with pytest.raises(DamagedFile, match=f"found {SHA256}") as caught:
        verify(file, "0" * 64)
    assert str(file) in str(caught.value) and "Delete it" in str(caught.value)
    with pytest.raises(DamagedFile, match=r"expected 1 bytes, found 204,800"):
        verify(file, SHA256, 1)
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "missing", SHA256)


# the disk


def test_a_folder_that_can_not_be(tmp_path):
    (tmp_path / "file").write_bytes(GOOD)
    with (
        serving(sends(BODY)) as url,
        pytest.raises(AssetUnavailable, match="PYTORCH_BOOK_DATA") as caught,
    ):
        download(f"{url}/f", tmp_path / "file" / "weights" / "f.bin")
    assert "can not be written" in str(caught.value)
    assert files_below(tmp_path) == ["file"]


def refused(message: str, path: Path | str) -> None:
    """The server sends the right file, but it can not be written to `path`."""
    with (
        serving(sends(BODY)) as url,
        pytest.raises(AssetUnavailable, match=message),
    ):
        download(f"{url}/f", path)


@pytest.mark.parametrize("method", ["mkdir", "open", "replace"])
def test_a_folder_that_is_read_only(path, monkeypatch, method):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    path.parent.mkdir(parents=True)
    monkeypatch.setattr(Path, method, refuse)
    refused(r"Read-only.*PYTORCH_BOOK_DATA", path)
    monkeypatch.undo()
    assert files_below(path.parent) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_folder_of_the_kernel():
    refused("PYTORCH_BOOK_DATA", "/proc/weights/f.bin")


def test_a_disk_that_is_full(path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda *args: Full(opened(*args)))
    refused(r"No space.*PYTORCH_BOOK_DATA", path)
    monkeypatch.undo()
    assert files_below(path.parent) == []


def test_the_path_is_a_folder(path):
    path.mkdir(parents=True)
    with serving(sends(BODY)) as url, pytest.raises(AssetUnavailable, match="written"):
        download(f"{url}/f", path)
    assert files_below(path.parent) == []


@pytest.mark.parametrize(("there", "accepted"), [(BODY, True), (GOOD, False)])
def test_a_file_in_use_on_windows(path, monkeypatch, there, accepted):
    """There `os.replace` fails while another process has the old file open."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Access is denied")

    path.parent.mkdir(parents=True)
    path.write_bytes(there)
    monkeypatch.setattr(Path, "replace", refuse)
    with serving(sends(BODY)) as url:
        if accepted:
            assert download(f"{url}/f", path) == path
        else:
            with pytest.raises(AssetUnavailable, match="Access is denied"):
                download(f"{url}/f", path)
    assert path.read_bytes() == there
    assert files_below(path.parent) == ["file.bin"]


# interruptions and company


def test_interrupted_between_two_pieces(path, monkeypatch):
    def interrupted(*_):
        yield BODY[:100]
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_pieces", interrupted)
    fails(sends(BODY), path, error=KeyboardInterrupt)


def test_interrupted_before_the_answer(path, monkeypatch):
    """The answer that comes afterwards is closed, not leaked."""

    answers: list = []
    result = module.Future.result

    def interrupt(future, timeout=None):
        if timeout is None:  # not the call that waits for the answer
            return result(future)
        answers.append(future)
        raise KeyboardInterrupt

    with serving(sends(BODY)) as url:
        with monkeypatch.context() as patch:
            patch.setattr(module.Future, "result", interrupt)
            with pytest.raises(KeyboardInterrupt):
                download(f"{url}/f", path)
        late = answers[0].result(NOT_HANGING)
    deadline = time.monotonic() + NOT_HANGING
    while not late.closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert late.closed
    assert files_below(path.parent) == []


CLIENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of a shell ignores it
from ch01_intro.download import download
download(sys.argv[1], sys.argv[2], sha256=sys.argv[3], timeout=20)
"""


def client(url: str, path: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", CLIENT, url, str(path), SHA256]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_ctrl_c_leaves_nothing_behind(path):
    with serving(stops_after(BODY[:70_000], announce=len(BODY))) as url:
        process = client(f"{url}/f", path)
        deadline = time.monotonic() + 30
        while not files_below(path.parent) and time.monotonic() < deadline:
            time.sleep(0.02)
        [partial] = files_below(path.parent)
        assert partial.endswith(".part")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert files_below(path.parent) == []


def test_two_processes_at_once(path):
    both = threading.Barrier(2, timeout=30)

    def answer(request, stopped):
        sends(BODY[:1000], announce=len(BODY))(request, stopped)
        request.wfile.flush()
        both.wait()  # each has a half when the other has one
        request.wfile.write(BODY[1000:])

    with serving(answer) as url:
        processes = [client(f"{url}/f", path) for _ in range(2)]
        errors = [process.communicate(timeout=60)[1] for process in processes]
    assert errors == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
    assert path.read_bytes() == BODY
    assert files_below(path.parent) == ["file.bin"]


def test_the_reason_is_the_first_line_without_the_name():
    error = AssetUnavailable("a.bin is not here: nobody listens\nput it there")
    assert error.reason == "nobody listens"
    assert AssetUnavailable("nobody listens").reason == "nobody listens"
