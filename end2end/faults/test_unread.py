"""Answers that are asked for and not read."""

from __future__ import annotations

import contextlib
import json
import time

from desk import eventually
from harness import MIB, read_answer


def unread(server, key, size: int) -> bytes:
    body = json.dumps({"model": server.model, "messages": [{"role": "user", "content": f"size={size}"}], "max_tokens": 16}).encode()
    return server.head("/v1/chat/completions", key, length=len(body)) + body


def test_an_answer_counts_as_in_flight_until_it_is_sent(start, database, provider):
    """A key for one request at a time: while its answer of 12 MB is not read, the next request is refused. The connection of a
    client that reads nothing is closed after a time, and what it asked for is charged."""
    server = start(database, extra=("--idle-seconds", "4"))
    provider.connect(server)
    key = server.create_key("unread", concurrent="1")
    with server.raw(unread(server, key, 12 * MIB)) as connection:
        eventually("the provider is asked", 10, lambda: provider.asked)
        time.sleep(1)
        refused = server.chat(key)
        assert refused.status == 429, refused
        began = time.monotonic()
        eventually("the next request passes", 15, lambda: server.chat(key).status == 200)
        assert time.monotonic() - began > 1
        assert b"HTTP/1.1 200" in connection.recv(1000)


def test_a_slow_reader_gets_all_of_it(start, provider):
    """Who reads slowly, and reads, is not cut off, and the answer is whole."""
    server = start(extra=("--idle-seconds", "3"))
    provider.connect(server)
    key = server.create_key("slow")
    with server.raw(unread(server, key, 12 * MIB)) as connection:
        eventually("the provider is asked", 10, lambda: provider.asked)
        text = b""
        for _ in range(10):
            time.sleep(0.5)
            text += connection.recv(1 << 20)
        connection.settimeout(10)
        head, _, body = text.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            got = connection.recv(1 << 20)
            assert got, f"cut off after {len(body)} of {length} bytes"
            body += got
        assert json.loads(body)["usage"]["total_tokens"] == 12


def test_answers_of_many_clients_share_their_room(start, provider):
    """Forty answers of 15 MB, of two organisations, and nobody reads: the program stays small, and an answer that is read is whole."""
    server = start()
    provider.connect(server)
    keys = [server.create_key("unread"), server.another().create_key("unread")]
    before = server.memory()
    with contextlib.ExitStack() as opened:
        for number in range(40):
            opened.enter_context(server.raw(unread(server, keys[number % 2], 15 * MIB)))
        most = 0
        for _ in range(30):
            time.sleep(0.2)
            most = max(most, server.memory() - before)
        assert most < 160 * MIB, f"{most // MIB} MiB"
        with server.raw(unread(server, keys[0], 2 * MIB)) as connection:
            status, _, body = read_answer(connection)
            assert status == 200 and len(json.loads(body)["choices"][0]["message"]["content"]) == 2 * MIB
