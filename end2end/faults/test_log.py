"""A log that cannot be written, and what a log must never have in it."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from desk import eventually
from harness import read_answer


def works(server) -> None:
    """Also under more requests than a log keeps waiting."""
    key = server.create_key("log")
    for _ in range(300):
        assert server.answers("/healthz") == 200
    assert server.chat(key).status == 200
    assert server.answers("/readyz") == 200
    began = time.monotonic()
    assert server.halt() == 0
    assert time.monotonic() - began < 9


def test_a_full_disk_under_the_log_is_nothing_to_wait_for(start):
    """Every byte of the log is refused, from the first line of the start: it serves, and SIGTERM ends it."""
    server = start()
    server.restart(out="/dev/full", err="/dev/full")
    works(server)


@pytest.mark.parametrize("how", ["gone", "unread"])
def test_a_log_without_a_reader_is_nothing_to_wait_for(start, how):
    """What reads the log has ended, or stands still while the pipe is full."""
    server = start()
    reader, writer = os.pipe()
    if how == "gone":
        os.close(reader)
    else:
        os.set_blocking(writer, False)
        while True:
            try:
                os.write(writer, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(writer, True)
    try:
        # What is printed at the start has to go somewhere.
        server.restart(out=writer if how == "gone" else None, err=writer)
        works(server)
    finally:
        os.close(writer)
        if how == "unread":
            os.close(reader)


def test_what_was_not_logged_is_said(start, tmp_path):
    """The log's reader ends and another one comes: the log says how many messages are missing."""
    server = start()
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    server.restart(err=writer)
    os.close(writer)
    os.close(reader)
    for _ in range(20):
        assert server.answers("/healthz") == 200
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    text = b""

    def said() -> bool:
        nonlocal text
        server.answers("/healthz")
        try:
            text += os.read(reader, 65_536)
        except BlockingIOError:
            return False
        return b"were not logged" in text

    eventually("the log says what is missing", 10, said)
    os.close(reader)
    lines = [json.loads(line)["fields"] for line in text.decode().splitlines() if "were not logged" in line]
    assert 15 <= lines[0]["messages"] <= 60, lines
    assert server.halt() == 0


TOKEN = "one-time_link-that_no-log_may-have"
SPELLINGS = [
    "/invite/{}", "//invite/{}", "/Invite/{}", "/%69nvite/{}", "/x/../invite/{}", "/invite/%2e%2e/invite/{}", "/setup//{}",
    "/RESET/{}", "/reset/{}/", "/nowhere/{}", "/v1/{}", "/v1/models/{}", "/pkg/{}/x", "/invite\\{}", "http://x/invite/{}",
]  # fmt: skip


def test_no_token_reaches_the_log(start):
    """One-time links in every spelling: the log names the route that answered, never the path."""
    server = start()
    before = len(server.log())
    for spelling in SPELLINGS:
        with server.raw(server.head(spelling.format(TOKEN), method="GET", accept="text/html"), timeout=10) as connection:
            assert read_answer(connection)[0] < 500, spelling
    log = eventually("they are logged", 5, lambda: (text := server.log()[before:]).count('"answered"') >= len(SPELLINGS) and text)
    assert TOKEN[:12] not in log
    routes = set(re.findall(r'"route":"([^"]*)"', log))
    assert "/invite/{token}" in routes and "none" in routes, routes
