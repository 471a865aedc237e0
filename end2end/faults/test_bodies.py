"""Bodies that are announced and do not come, come slowly, or are not wanted: they take no room from others, and who sends one
reads the answer."""

from __future__ import annotations

import contextlib
import json
import time

import pytest

from harness import MIB, read_answer

PATH = "/v1/chat/completions"
#: More than all bodies together may take, if each took what it announces.
CALLERS = 18


def announced(server, key) -> bytes:
    return server.head(PATH, key, length=32 * MIB)


def chunked(server, key) -> bytes:
    return server.head(PATH, key, transfer_encoding="chunked", content_type="application/json")


def compressed(server, key) -> bytes:
    return server.head(PATH, key, length=1000, content_encoding="gzip")


@pytest.mark.parametrize("head", [announced, chunked, compressed])
def test_what_is_announced_takes_no_room(start, head):
    """A key announces 18 bodies of any size and sends nothing: another organisation, and the key itself, are answered at once."""
    server = start()
    key, other = server.create_key("announces"), server.another().create_key("other")
    with contextlib.ExitStack() as opened:
        for _ in range(CALLERS):
            opened.enter_context(server.raw(head(server, key)))
        time.sleep(0.5)
        for asked in (other, key):
            began = time.monotonic()
            assert server.chat(asked).status == 200
            assert time.monotonic() - began < 2


@pytest.mark.bounded(120)
def test_one_key_has_a_part_of_the_room(start):
    """A key sends 18 large bodies all but their end. Some are refused with 503 and a sentence; another organisation's large ones
    pass, and so do small ones of the key itself."""
    server = start()
    key, other = server.create_key("large"), server.another().create_key("other")
    body = json.dumps({"model": server.model, "messages": [{"role": "user", "content": "a" * (20 * MIB)}]}).encode()
    refused = 0
    with contextlib.ExitStack() as opened:
        connections = []
        for _ in range(CALLERS):
            connections.append(opened.enter_context(server.raw(server.head(PATH, key, length=len(body)), timeout=20)))
            connections[-1].sendall(body[:-10])
        # An answer waits a moment for the rest.
        time.sleep(6)
        for connection in connections:
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                status, headers, said = read_answer(connection)
                assert (status, headers["retry-after"]) == (503, "1") and b"memory limit" in said, said
                refused += 1
        assert 0 < refused < CALLERS
        assert server.chat(key).status == 200
        assert server.chat(other, "a" * MIB, timeout=30).status == 200
    assert server.memory() < 700 * MIB


def test_a_body_has_a_least_speed(start):
    """A body that does not come is answered after ten seconds, not after two minutes."""
    server = start()
    with server.raw(announced(server, server.create_key("slow")) + b"{") as connection:
        began = time.monotonic()
        status, headers, said = read_answer(connection)
        assert (status, headers.get("connection")) == (408, "close") and b"too slowly" in said, said
        assert 8 < time.monotonic() - began < 20


REFUSED = [
    ("POST", "/csp-report", 204),
    ("POST", "/api/session/sign-in", 403),
    ("POST", "/nowhere/at/all", 403),
    ("PUT", "/healthz", 405),
    ("POST", "/v1/chat/completions", 401),
    ("POST", "/v1/nothing", 404),
    ("GET", "/sign-in", 200),
]


@pytest.mark.parametrize("method, path, status", REFUSED)
def test_an_answer_before_the_body_keeps_the_connection(start, method, path, status):
    """A head, and its body a moment later, as many clients send them: both requests of a connection are answered."""
    server = start()
    body = b"x" * 20_000
    with server.raw(timeout=10) as connection:
        for _ in range(2):
            connection.sendall(server.head(path, method=method, length=len(body), accept="text/html", origin="http://evil.example"))
            time.sleep(0.3)
            connection.sendall(body)
            answered = read_answer(connection)
            assert answered[0] == status, answered
            assert answered[1].get("connection") != "close"


@pytest.mark.parametrize("path, status", [("/api/session/sign-in", 413), ("/v1/chat/completions", 401), ("/csp-report", 204)])
def test_a_large_body_that_is_not_wanted_is_answered(start, path, status):
    """A client sends all of its body before it reads: it reads the answer, and sees no broken pipe."""
    server = start()
    body = b"a=" + b"x" * (8 * MIB)
    head = server.head(path, length=len(body), origin=server.base, content_type="application/x-www-form-urlencoded")
    with server.raw(head, timeout=20) as connection:
        connection.sendall(body)
        assert read_answer(connection)[0] == status


def test_who_asks_whether_to_send_is_told_that_the_connection_ends(start):
    """`expect: 100-continue`, and the answer is no: the body is not waited for, and the answer says that this was all."""
    server = start()
    with server.raw(server.head(PATH, "nothing", length=8 * MIB, expect="100-continue"), timeout=5) as connection:
        status, headers, _ = read_answer(connection)
        assert (status, headers.get("connection")) == (401, "close")
