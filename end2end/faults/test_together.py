"""Whatever one does, another organisation's requests are answered: all of them, and half of them within 50 ms."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

import pytest

from harness import MIB

#: For so long the harm lasts.
HARM = 8


@contextlib.contextmanager
def beside(n):
    """The neighbour's requests count from here on, and are judged at the end, while the harm still lasts."""
    time.sleep(1)
    n.forget()
    yield
    n.unharmed()


def used_up(server):
    key = server.create_key("used up", month="0.01")
    for _ in range(200):
        if server.chat(key).status == 429:
            return key
    raise AssertionError("200 requests did not use up a cent")


def test_a_used_up_key_that_announces_bodies_stops_nobody(start, database, neighbour):
    """A key without budget announces 32 MiB on 18 connections, and sends nothing; as they are closed, it comes again."""
    server = start(database)
    key = used_up(server)
    with neighbour(server) as n, contextlib.ExitStack() as opened:
        time.sleep(1)
        n.forget()
        before, until = server.memory(), time.monotonic() + HARM
        while time.monotonic() < until:
            for _ in range(18):
                with contextlib.suppress(OSError):
                    opened.enter_context(server.raw(server.head("/v1/chat/completions", key, length=32 * MIB), timeout=5))
            time.sleep(2)
        n.unharmed()
        assert server.memory() - before < 100 * MIB


def test_a_thousand_silent_connections_stop_nobody(start, database, neighbour):
    """From one address and from many: a thousand connections that send nothing, or half of what HTTP/2 begins with."""
    server = start(database)
    with neighbour(server) as n, contextlib.ExitStack() as opened:
        with beside(n):
            for number in range(1000):
                with contextlib.suppress(OSError):
                    sent = b"" if number % 2 else b"PRI * HTTP/2.0\r\n"
                    source = "127.0.0.2" if number < 300 else f"127.0.{1 + number // 200}.{1 + number % 200}"
                    opened.enter_context(server.raw(sent, source=source, timeout=2))
            time.sleep(HARM)


def test_a_full_disk_of_the_log_stops_nobody(start, database, small_disk, neighbour):
    """The disk that the log is written to is full; the database is elsewhere."""
    disk = small_disk(4)
    server = start(database)
    server.restart(out=disk.folder / "out", err=disk.folder / "err")
    server.person = server.sign_in()
    with neighbour(server) as n:
        with beside(n):
            disk.fill()
            time.sleep(HARM)
        assert server.answers("/healthz") == 200
    assert server.halt() == 0


@pytest.mark.parametrize("how", ["gone", "unread"])
def test_a_dead_log_stops_nobody(start, database, neighbour, how):
    """What reads the log has ended, or stands still with the pipe full."""
    server = start(database)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        server.restart(out=writer, err=writer)
        os.close(writer)
        server.person = server.sign_in()
        with neighbour(server) as n:
            with beside(n):
                if how == "gone":
                    os.close(reader)
                time.sleep(HARM)
            assert server.answers("/healthz") == 200
        assert server.halt() == 0
    finally:
        if how == "unread":
            os.close(reader)


def test_a_full_disk_of_the_data_stops_nobody_on_postgres(start, small_disk, neighbour):
    """The data folder has the cookie key alone there: a full disk under it concerns no request."""
    disk = small_disk(4)
    server = start("postgres", data=disk.folder / "data")
    with neighbour(server) as n:
        with beside(n):
            disk.fill()
            time.sleep(HARM / 2)
