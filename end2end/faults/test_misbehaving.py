"""A provider that does everything wrong: its own requests fail with a sentence or are passed on as they come, and the program
neither grows nor makes others wait."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import threading
import time
import zlib

import pytest

from desk import eventually
from harness import MIB

#: What docs/operate.md says: by so much the program may grow, whatever its providers do.
ROOM = 100 * MIB
#: Each connection has one answer.
HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
EVENTS = HEAD + b"content-type: text/event-stream\r\n\r\n"
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
TOLD = [
    {"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": USAGE},
]
WHOLE = json.dumps({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": USAGE}).encode()
RETRY = b"retry-after: 7\r\nretry-after-ms: 6500\r\nx-should-retry: true\r\nx-ratelimit-remaining-requests: 0\r\nset-cookie: a=b\r\n"


def event(told: dict) -> bytes:
    return b"data: " + json.dumps(told).encode() + b"\n\n"


def chunked(connection: socket.socket, *parts: bytes, ends: bool = True) -> None:
    connection.sendall(HEAD + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for part in parts:
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    if ends:
        connection.sendall(b"0\r\n\r\n")


@functools.cache
def bomb() -> bytes:
    squeezed = zlib.compressobj(9, wbits=31)
    return b"".join(squeezed.compress(bytes(MIB)) for _ in range(1024)) + squeezed.flush()


class Misbehaving:
    """A provider over plain sockets. How it answers is said in the request's message: `way=drip`."""

    def __init__(self):
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def connect(self, server, *options: str) -> None:
        server.command("providers", "add", "Odd", "--url", self.url, "--no-credential", *options)
        server.command("models", "route", "gpt-5-mini", "--to", "Odd")
        server.model = "gpt-5-mini"

    def stop(self) -> None:
        self.stopped.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            read = b""
            while b"\r\n\r\n" not in read:
                read += connection.recv(65_536)
            head, _, body = read.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            while len(body) < length:
                body += connection.recv(65_536)
            said = re.search(rb"way=(\w+?)(\d*)\b", body)
            way, number = (said[1].decode(), int(said[2] or 0)) if said else ("well", 0)
            self.asked.append(way)
            getattr(self, way)(connection, number)

    # --- the ways

    def well(self, connection, _):
        connection.sendall(HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE))

    def drip(self, connection, _):
        """One byte a second, from the first of the body on."""
        connection.sendall(EVENTS)
        for byte in b"".join(map(event, TOLD)):
            connection.sendall(bytes([byte]))
            if self.stopped.wait(1):
                return

    def endless(self, connection, _):
        """A whole answer that does not end."""
        connection.sendall(HEAD + b"content-type: application/json\r\n\r\n{\"choices\":[{\"message\":{\"content\":\"")
        while not self.stopped.is_set():
            connection.sendall(b"a" * MIB)

    def line(self, connection, number):
        """So many MiB without a line's end."""
        connection.sendall(EVENTS + b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"")
        for _ in range(number):
            connection.sendall(b"a" * MIB)
        connection.sendall(b"\"}}]}\n\n" + event(TOLD[3]) + b"data: [DONE]\n\n")

    def comments(self, connection, number):
        """So many MiB of what no client sees."""
        connection.sendall(EVENTS)
        for _ in range(number * 16):
            connection.sendall(b": " + b"c" * (64 << 10) + b"\n")
        connection.sendall(b"\n" + b"".join(map(event, TOLD)) + b"data: [DONE]\n\n")

    def longer(self, connection, _):
        connection.sendall(HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(WHOLE) + 100, WHOLE))

    def no_number(self, connection, _):
        connection.sendall(HEAD + b"content-type: application/json\r\ncontent-length: many\r\n\r\n" + WHOLE)

    def two_lengths(self, connection, _):
        connection.sendall(HEAD + b"content-length: 5\r\ncontent-length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE))

    def redirect(self, connection, number):
        connection.sendall(b"HTTP/1.1 %d Over there\r\nconnection: close\r\nlocation: %s/elsewhere\r\ncontent-length: 0\r\n\r\n" % (number, self.url.encode()))

    def heads(self, connection, _):
        """A head that does not end."""
        connection.sendall(HEAD)
        for number in range(1 << 20):
            connection.sendall(b"x-%d: %s\r\n" % (number, b"a" * 4_000))

    def nonsense(self, connection, _):
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    def nothing(self, connection, _):
        pass

    def bomb(self, connection, _):
        """A gigabyte of zeros in a megabyte, not labelled."""
        connection.sendall(HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(bomb()), bomb()))

    def closes(self, connection, number):
        """After so many events."""
        chunked(connection, *map(event, TOLD[:number]), ends=False)

    def status(self, connection, number):
        body = b'{"error":{"type":"overloaded_error","message":"Overloaded"}}'
        head = b"HTTP/1.1 %d Later\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n" % (number, len(body), RETRY)
        connection.sendall(head + body)

    def silent(self, connection, number):
        """Not even a head for so many seconds, as a model that reasons."""
        if not self.stopped.wait(number):
            chunked(connection, *map(event, TOLD), b"data: [DONE]\n\n")


@pytest.fixture
def odd():
    provider = Misbehaving()
    yield provider
    provider.stop()


@contextlib.contextmanager
def within_bounds(server):
    """What the program takes more while the block runs is less than the documents say."""
    most, ended, before = [0], threading.Event(), server.memory()

    def look():
        while not ended.wait(0.1):
            most[0] = max(most[0], server.memory() - before)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()
    assert most[0] < ROOM, f"the program grew by {most[0] // MIB} MiB"


def opened(server, key, way: str, *, stream: bool = True, timeout: float = 60) -> socket.socket:
    body = json.dumps({"model": server.model, "stream": stream, "max_tokens": 16, "messages": [{"role": "user", "content": f"way={way}"}]}).encode()
    return server.raw(server.head("/v1/chat/completions", key, length=len(body), connection="close") + body, timeout=timeout)


def received(connection: socket.socket) -> tuple[int, bytes, bytes]:
    """Everything: how many bytes, the first and the last of them."""
    count, first, last = 0, b"", b""
    with contextlib.suppress(OSError):
        while got := connection.recv(1 << 20):
            count += len(got)
            first = first if len(first) > 4_096 else first + got
            last = (last + got)[-4_096:]
    return count, first, last


@pytest.mark.parametrize("way", ["longer", "no_number", "two_lengths", "nonsense", "nothing"])
def test_an_answer_that_is_none_is_a_502_and_is_not_asked_again(start, odd, way):
    """A wrong length, no HTTP, nothing at all: the client reads a sentence, and no library pays for it twice."""
    server = start("sqlite")
    odd.connect(server)
    answer = server.chat(server.create_key("odd"), f"way={way}")
    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false"), answer
    assert answer.json["error"]["code"] == "upstream_error" and "Odd" in answer.json["error"]["message"]
    assert odd.asked == [way]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(start, odd, status):
    """It would carry the provider's credential elsewhere."""
    server = start("sqlite")
    odd.connect(server)
    answer = server.chat(server.create_key("odd"), f"way=redirect{status}")
    assert answer.status == 502 and "redirect, which is not followed" in answer.body
    assert answer.headers["x-should-retry"] == "false" and len(odd.asked) == 1


@pytest.mark.parametrize("status", [429, 503, 529])
def test_what_a_provider_says_of_retrying_reaches_the_client(start, odd, status):
    """Each header for retrying, and nothing else of its own."""
    server = start("sqlite")
    odd.connect(server)
    answer = server.chat(server.create_key("odd"), f"way=status{status}")
    assert answer.status == status, answer
    assert [answer.headers[name] for name in ("retry-after", "retry-after-ms", "x-should-retry")] == ["7", "6500", "true"]
    assert "set-cookie" not in answer.headers and answer.headers.get("x-ratelimit-remaining-requests") != "0"
    assert len(odd.asked) == 1


def test_a_stream_that_closes_at_any_event_is_seen_to_break_off(start, odd):
    """After each of its events in turn: what came is passed on, the connection breaks, and the next request is answered."""
    server = start("sqlite")
    odd.connect(server)
    key = server.create_key("odd")
    for number in range(len(TOLD) + 1):
        with opened(server, key, f"closes{number}") as connection:
            _, text, last = received(connection)
        # The last one is the usage, which this client did not ask for.
        assert text.count(b"data: {") == min(number, 3), (number, text)
        assert not last.endswith(b"\r\n0\r\n\r\n"), (number, last)
        assert server.chat(key, "way=well").status == 200


@pytest.mark.bounded(120)
@pytest.mark.parametrize("way", ["endless", "heads", "bomb"])
def test_an_answer_without_an_end_takes_no_memory(start, odd, way):
    """A body or a head that does not end, and a gigabyte in a megabyte: five of them, read by nobody and by somebody."""
    server = start("sqlite")
    odd.connect(server, "--idle-timeout", "5", "--total-timeout", "10")
    key = server.create_key("odd")
    assert server.chat(key, "way=well").status == 200
    bomb()
    with within_bounds(server), contextlib.ExitStack() as unread:
        for _ in range(4):
            unread.enter_context(opened(server, key, way, stream=False))
        with opened(server, key, way, stream=False) as connection:
            count, first, _ = received(connection)
    assert count and first.startswith(b"HTTP/1.1 "), first[:100]
    if way == "heads":
        assert first.startswith(b"HTTP/1.1 502 "), first[:100]
    assert eventually("the key is answered", 20, lambda: server.chat(key, "way=well").status == 200)


@pytest.mark.bounded(180)
@pytest.mark.parametrize("way, least", [("line2048", 2048 * MIB), ("comments256", 0)])
def test_a_line_of_two_gigabytes_passes_and_is_metered(start, odd, way, least):
    """An event of any length goes to its client as it comes; the usage after it counts."""
    server = start("sqlite")
    odd.connect(server)
    key = server.create_key("odd")
    with within_bounds(server), opened(server, key, way) as connection:
        count, first, last = received(connection)
    assert first.startswith(b"HTTP/1.1 200") and count > least and b"data: [DONE]" in last, (count, last[-200:])
    assert server.chat(key, "way=well").status == 200


@pytest.mark.bounded(200)
def test_a_provider_that_is_silent_for_two_minutes_is_waited_for(start, odd, neighbour):
    """A model that reasons, and one that sends a byte a second: their clients have a head within ten seconds and a sign of life at
    least every 20, and in the end the answer. A hundred of them are in nobody's way."""
    server = start("sqlite")
    odd.connect(server)
    key = server.create_key("odd")
    assert server.chat(key).status == 200
    with within_bounds(server), neighbour(server) as n, contextlib.ExitStack() as others:
        time.sleep(1)
        n.forget()
        for number in range(100):
            others.enter_context(opened(server, key, "silent120" if number % 2 else "drip"))
        began = time.monotonic()
        with opened(server, key, "silent120", timeout=20) as connection:
            first = connection.recv(65_536)
            assert first.startswith(b"HTTP/1.1 200") and b"text/event-stream" in first
            assert time.monotonic() - began < 10
            text = first
            # A socket's timeout is the longest silence.
            while b"data: [DONE]" not in text:
                got = connection.recv(65_536)
                assert got, text
                text += got
        assert 110 < time.monotonic() - began < 140
        assert text.count(b": wait\n\n") >= 6 and b'"content": "Hel"' in text
        n.unharmed()
