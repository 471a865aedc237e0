"""Answers that are not read, providers and clients that take their time: it is their own time that they take."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import pytest

from desk import eventually
from harness import MIB, read_answer

#: More than the program itself needs, whatever is done to it.
ROOM = 100 * MIB


def body(server, words: str, **more) -> bytes:
    return json.dumps({"model": server.model, "messages": [{"role": "user", "content": words}], "max_tokens": 16, **more}).encode()


def requests(server, key, opened, number: int, words: str, **more) -> list:
    """So many requests on connections of their own, which nobody reads."""
    sent = body(server, words, **more)
    head = server.head("/v1/chat/completions", key, length=len(sent))
    return [opened.enter_context(server.raw(head + sent)) for _ in range(number)]


@pytest.mark.bounded(90)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_answers_that_nobody_reads_stay_within_bounds(start, provider, neighbour, stream):
    """Forty clients ask for answers of 15 MB and read none of them: the program grows by less than 100 MB, and others notice
    nothing."""
    server = start()
    provider.connect(server)
    key = server.create_key("unread")
    with neighbour(server) as n, contextlib.ExitStack() as opened:
        time.sleep(1)
        n.forget()
        before = server.memory()
        requests(server, key, opened, 40, f"size={15 * MIB}", stream=stream)
        eventually("they are at the provider", 10, lambda: len([one for one in provider.asked if "size=" in json.dumps(one)]) >= 1)
        most = 0
        for _ in range(40):
            time.sleep(0.2)
            most = max(most, server.memory() - before)
        # Judged while they are still open.
        n.unharmed()
    assert most < ROOM, f"the program grew by {most // MIB} MiB"
    assert server.chat(key).status == 200


def test_a_slow_provider_takes_only_its_own_time(start, provider, neighbour):
    """Two hundred requests wait for a provider that says nothing: others are answered as always, by another key's requests."""
    server = start()
    provider.connect(server)
    key = server.create_key("slow")
    with neighbour(server) as n, contextlib.ExitStack() as opened:
        time.sleep(1)
        n.forget()
        requests(server, key, opened, 200, "delay=8")
        time.sleep(6)
        n.unharmed()
    assert server.chat(key).status == 200


def test_slow_clients_take_only_their_own_time(start, neighbour):
    """Two hundred clients that send their body a byte a second: others are answered as always."""
    server = start()
    key = server.create_key("slow")
    with neighbour(server) as n, contextlib.ExitStack() as opened:
        slow = [opened.enter_context(server.raw(server.head("/v1/chat/completions", key, length=2000))) for _ in range(200)]
        time.sleep(1)
        n.forget()
        for _ in range(6):
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")
            time.sleep(1)
        n.unharmed()


def test_a_slow_stream_arrives_as_it_comes(start, provider):
    """A stream's first words arrive while the provider still speaks."""
    server = start()
    provider.connect(server)
    key = server.create_key("stream")
    sent = body(server, f"size={16_384 * 6} pause=0.5", stream=True)
    with server.raw(server.head("/v1/chat/completions", key, length=len(sent)) + sent) as connection:
        began = time.monotonic()
        connection.recv(8192)
        assert time.monotonic() - began < 2, "the first bytes waited for the last"


def test_a_client_that_leaves_takes_nothing_along(start, provider):
    """A hundred clients leave in the middle of a stream: no descriptor and no place among the key's concurrent requests is lost."""
    server = start()
    provider.connect(server, "--on-disconnect", "stop")
    key = server.create_key("leaves", concurrent="100")
    before = server.descriptors()
    for _ in range(4):
        with contextlib.ExitStack() as opened:
            left = requests(server, key, opened, 25, f"size={16_384 * 100} pause=0.05", stream=True)
            for connection in left:
                connection.recv(1024)
    eventually("their connections are closed", 10, lambda: server.descriptors() <= before + 20)
    with contextlib.ExitStack() as opened:
        again = requests(server, key, opened, 50, "Say it back")
        assert {read_answer(connection)[0] for connection in again} == {200}
