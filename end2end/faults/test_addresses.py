"""Addresses as they are written: of pages, and of clients behind a proxy."""

from __future__ import annotations

import pytest

from desk import ask
from harness import read_answer

NOT_PLAIN = ["/gateway/../{}/audit", "/v1/..%2f{}/audit", "/gateway/%2e%2E/{}/audit", "/x/.%2e/{}/audit", "/./{}/audit", "/gateway\\..\\{}\\audit"]


def test_pages_answer_at_plain_addresses_only(start):
    """Dot segments in every spelling are no address, whoever asks, and nothing is decided by what stands before them."""
    server = start()
    for path in NOT_PLAIN:
        for headers in ({"accept": "text/html"}, {"accept": "*/*"}):
            with server.raw(server.head(path.format(server.org), method="GET", **headers), timeout=10) as connection:
                status, _, said = read_answer(connection)
                assert status == 404 and b"begins with a slash" in said, (path, status, said[:200])


@pytest.mark.parametrize("line", ["CONNECT x:1", "CONNECT x:443", "OPTIONS *"])
def test_what_is_no_path_is_refused(start, line):
    """`CONNECT` asks for a proxy, which this is not. Nothing panics."""
    server = start()
    with server.raw(f"{line} HTTP/1.1\r\nhost: x\r\n\r\n".encode(), timeout=10) as connection:
        assert read_answer(connection)[0] == 404
    assert server.errors() == []


WRITTEN = ["203.0.113.5", "203.0.113.5:51234", '"203.0.113.5:51234"', "198.51.100.1, 203.0.113.5:80", "203.0.113.5:80,"]
WRITTEN_6 = ["2001:db8::5", "[2001:db8::5]", "[2001:db8::5]:443", '"[2001:db8::5]:443"']


def test_a_proxy_may_write_a_port_and_brackets(start):
    """Keys that are bound to addresses work behind every proxy that is trusted, however it writes its clients' addresses."""
    server = start(extra=("--trusted-proxy", "127.0.0.1/32"))
    body = {"model": server.model, "messages": [{"role": "user", "content": "Hi"}]}
    for network, other, written in [("203.0.113.0/24", "203.0.112.5:80", WRITTEN), ("2001:db8::/64", "[2001:db8:1::5]:80", WRITTEN_6)]:
        key = server.create_key("bound", addresses=network)
        for text in [*written, other]:
            answer = ask(f"{server.base}/v1/chat/completions", key.secret, headers={"x-forwarded-for": text}, body=body)
            assert answer.status == (403 if text == other else 200), (text, answer.body)
