"""The load client against a server of a few lines, and the arithmetic."""

import asyncio
import io
import json
import math
import time
from dataclasses import asdict

import pytest
from PIL import Image

from ch07_deployment import load as load_module
from ch07_deployment.bare import jpegs
from ch07_deployment.load import SERVERS, main, saved, table
from ch07_deployment.load_client import (
    Load,
    answer,
    client,
    load,
    percentile,
    upload,
)
from ch07_deployment.processes import free_port


def test_percentiles_by_nearest_rank():
    values = [15, 20, 35, 40, 50]
    ranks = {1: 15, 20: 15, 30: 20, 40: 20, 50: 35, 99: 50, 100: 50}
    assert {p: percentile(values[::-1], p) for p in ranks} == ranks
    assert percentile(range(1, 101), 99) == 99 and percentile(range(1, 1001), 99) == 990
    assert percentile([7], 50) == 7 and math.isnan(percentile([], 50))
    for wrong in (0, -1, 101):
        with pytest.raises(ValueError, match="percentage"):
            percentile(values, wrong)


def test_the_photographs_and_the_request():
    files = jpegs(pixels=64)
    assert len(files) > 4
    assert all(max(Image.open(io.BytesIO(file)).size) == 64 for file in files)
    head, _, body = upload(files[0], host="a:1", path="/x").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head and files[0] in body
    assert head.startswith(b"POST /x HTTP/1.1\r\nHost: a:1\r\n")


def parsed(*parts: bytes):
    async def read():
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(parts))
        reader.feed_eof()
        return await answer(reader)

    return asyncio.run(read())


def test_answers_are_read_to_their_end():
    assert parsed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"{}rest") == (
        200, b"{}", True,
    )  # fmt: skip
    closing = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\nConnection: close\r\n\r\n"
    assert parsed(closing) == (503, b"", False)
    assert parsed(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")[2] is False


@pytest.mark.parametrize(
    "broken",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"nonsense\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1",
     b"HTTP/1.1 200 OK" + b" " * 2**18],
)  # fmt: skip
def test_half_an_answer_is_an_error(broken):
    with pytest.raises(ConnectionError, match="no whole answer"):
        parsed(broken)


async def against(answers, use):
    """Serve each request the next of `answers`; what `use(port)` gives, connections."""
    connections = 0

    async def serve(reader, writer):
        nonlocal connections
        connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = int(head.split("content-length: ")[1].split()[0])
                await reader.readexactly(size)
                await asyncio.sleep(0.01)
                status, keep = next(answers)
                if status == 0:
                    break
                close = "" if keep else "connection: close\r\n"
                head = f"HTTP/1.1 {status} X\r\n{close}content-length: 2\r\n\r\n"
                writer.write(head.encode() + b"{}")
                if not keep:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        return await use(server.sockets[0].getsockname()[1]), connections
    finally:
        server.close()
        await asyncio.sleep(0.05)  # until each connection's end has been seen


def forever(*these):
    while True:
        yield from these


def test_the_client_counts_and_keeps_or_renews_its_connection():
    async def use(port):
        url = f"http://127.0.0.1:{port}/predict"
        return await load(url, [b"1", b"22"], clients=3, seconds=0.4, warm_up=0.1)

    steady, connections = asyncio.run(against(forever((200, True)), use))
    assert connections == 3 and steady.errors == 0
    assert 20 < steady.per_second <= 300 and 10 <= steady.p50_ms <= steady.p99_ms
    mixed, connections = asyncio.run(
        against(forever((200, False), (503, True), (0, False)), use)
    )
    assert mixed.errors > 3 and mixed.per_second > 3 and connections > 6


def test_a_server_that_is_away_is_counted_and_not_hammered():
    end = time.perf_counter() + 0.2
    seen = asyncio.run(client("127.0.0.1", free_port(), [b"x"], until=end))
    assert {status for _, _, status in seen} == {0} and 0 < len(seen) <= 21


def test_the_table_compares_with_flask_and_the_model():
    rows = [Load("the model alone, batches of 8", 400.0, 20, 21, 0, 3),
            Load(SERVERS["flask"][0], 60.0, 500, 900, 2),
            Load("mine", 300.0, 100, 150, 0, 5)]  # fmt: skip
    lines = table(rows).splitlines()
    mine = "mine 300.0 100 ms 150 ms 0 5.00 ms 5.0 x 75% 60%"
    assert " ".join(lines[3].split()) == mine
    assert len({len(line) for line in lines}) == 1
    assert "nan" in table(rows[2:])  # nothing to compare with


def test_the_benchmark_runs_and_saves(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(load_module, "RESULTS", tmp_path / "load.json")
    assert saved() == {}
    before = {"rows": [Load("the model alone", 400.0, 20, 21, 0, 3)], "clients": 2}
    content = json.dumps({"small": before}, default=asdict)
    (tmp_path / "load.json").write_text(content, encoding="utf-8")
    arguments = "--clients 4 --seconds 0.5 --warm-up 0.2 --threads 1 --save"
    arguments += " --model six-views --only bare flask"
    rows = main(arguments.split())
    run = saved()["six-views"]
    assert run["rows"] == rows and saved()["small"] == before
    assert len(rows) == 3 and all(r.per_second > 0 and r.errors == 0 for r in rows)
    assert run["clients"] == 4 and run["threads"] == 1 and run["machine"]["torch"]
    assert all(0 < row.cpu_ms < 1000 for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_committed_run_holds_what_the_service_is_to_hold():
    model, _, flask, _, service = saved()["six-views"]["rows"]
    assert service.name == SERVERS["service"][0] and service.errors == 0
    assert service.per_second >= 5 * flask.per_second
    assert service.per_second >= 0.7 * model.per_second
