"""Connections that send nothing, little or half, and too many of them."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from harness import read_answer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HALF = {
    "nothing": b"",
    "half a line": b"GET /heal",
    "half a head": b"GET /healthz HTTP/1.1\r\nhost: x\r\n",
    "half a preface": PREFACE[:16],
    "HTTP/2 and no request": PREFACE + SETTINGS,
}


def is_closed(connection: socket.socket, within: float) -> bool:
    """Whether the other side ends it in time; what it says before is read."""
    until = time.monotonic() + within
    while (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(65_536):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


def asked(server, connection: socket.socket) -> bool:
    """Whether one more request on it is answered."""
    try:
        connection.sendall(server.head("/healthz", method="GET"))
        return read_answer(connection)[0] == 200
    except OSError:
        return False


def test_who_does_not_begin_is_not_waited_for(start):
    """Nothing, half a head, half of what HTTP/2 begins with: closed after 15 seconds."""
    server = start()
    with contextlib.ExitStack() as opened:
        began = time.monotonic()
        waiting = {what: opened.enter_context(server.raw(sent)) for what, sent in HALF.items()}
        time.sleep(10)
        assert asked(server, opened.enter_context(server.raw()))
        for what, connection in waiting.items():
            assert is_closed(connection, 20 - (time.monotonic() - began)), what


def test_an_idle_connection_waits_for_longer_than_a_balancer(start):
    """A balancer sends its next request up to 60 seconds later. A next head that comes byte by byte is not waited for as long."""
    server = start()
    with server.raw() as idle, server.raw() as slow:
        assert asked(server, idle) and asked(server, slow)
        began = time.monotonic()
        for byte in server.head("/healthz", method="GET")[:17]:
            with contextlib.suppress(OSError):
                slow.sendall(bytes([byte]))
            time.sleep(1)
        assert is_closed(slow, 22 - (time.monotonic() - began))
        assert asked(server, idle)


def test_an_idle_connection_ends_after_its_time(start):
    """The time is an option, and holds."""
    server = start(extra=("--idle-seconds", "3"))
    with server.raw() as connection:
        assert asked(server, connection)
        time.sleep(1.5)
        assert asked(server, connection)
        began = time.monotonic()
        assert is_closed(connection, 8)
        assert 2 < time.monotonic() - began


def test_silent_connections_lock_no_one_out(start):
    """Of 256 descriptors and 367 silent connections: who comes next is answered at once, from the same address, too. The log says
    that there are too many."""
    server = start(prefix=("prlimit", "--nofile=256:256", "--"))
    with contextlib.ExitStack() as opened:
        for _ in range(367):
            with contextlib.suppress(OSError):
                opened.enter_context(server.raw(timeout=1))
        for _ in range(20):
            began = time.monotonic()
            assert server.answers("/healthz") == 200
            assert time.monotonic() - began < 1
    assert "too many connections" in server.log()


@pytest.mark.parametrize("source, most", [("127.0.0.2", 20), ("127.0.0.9", 40)], ids=["client", "trusted proxy"])
def test_one_address_leaves_room_for_others(start, source, most):
    """Connections that have asked something and stay: an address has as many as are left. A trusted proxy brings everybody."""
    server = start(extra=("--max-connections", "40", "--trusted-proxy", "127.0.0.9/32"))
    with contextlib.ExitStack() as opened:
        kept = 0
        for _ in range(60):
            with contextlib.suppress(OSError):
                kept += asked(server, opened.enter_context(server.raw(source=source, timeout=2)))
        assert most - 2 <= kept <= most, kept
        if source == "127.0.0.2":
            assert server.answers("/healthz") == 200
