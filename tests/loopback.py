"""Small HTTP servers on this machine that behave, or misbehave, as a test wants."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, threading.Event], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Yield the address of a server that calls `answer(request, stopped)` in a thread
    for each GET. At the end `stopped` is set and all its threads are joined."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client has left
                answer(self, stopped)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # so that closing waits for them

        def handle_error(self, *_: object) -> None:
            pass  # a client that left while its last bytes were flushed

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            stopped.set()
            server.shutdown()
            thread.join()


def sends(
    body: bytes, *, status: int = 200, announce: int | None = -1, **headers: str
) -> Answer:
    """An answer with that body. `announce`: another Content-Length, None for none."""

    def answer(request: BaseHTTPRequestHandler, _: threading.Event) -> None:
        request.send_response(status)
        if announce is not None:
            length = len(body) if announce == -1 else announce
            request.send_header("Content-Length", str(length))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def routes(answers: dict[str, Answer]) -> Answer:
    """A different answer for each path; 404 for all others."""

    def answer(request: BaseHTTPRequestHandler, stopped: threading.Event) -> None:
        answers.get(request.path, sends(b"", status=404))(request, stopped)

    return answer


def silent(_: BaseHTTPRequestHandler, stopped: threading.Event) -> None:
    """Takes the question and says nothing."""
    stopped.wait(30)


def stops_after(body: bytes, *, announce: int) -> Answer:
    """Sends the beginning, then nothing more, and keeps the connection open."""

    def answer(request: BaseHTTPRequestHandler, stopped: threading.Event) -> None:
        sends(body, announce=announce)(request, stopped)
        request.wfile.flush()
        stopped.wait(30)

    return answer


def drips(pause: float, *, count: int = 300) -> Answer:
    """One byte, a pause, one byte ... never silent long enough for a time-out."""

    def answer(request: BaseHTTPRequestHandler, stopped: threading.Event) -> None:
        sends(b"", announce=1_000_000)(request, stopped)
        _drip(request, stopped, pause, count)

    return answer


def drips_headers(pause: float, *, count: int = 300) -> Answer:
    def answer(request: BaseHTTPRequestHandler, stopped: threading.Event) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        _drip(request, stopped, pause, count)

    return answer


def _drip(
    request: BaseHTTPRequestHandler, stopped: threading.Event, pause: float, count: int
) -> None:
    for _ in range(count):
        if stopped.wait(pause):
            return
        request.wfile.write(b"x")
