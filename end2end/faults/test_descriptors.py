"""Few file descriptors, and many who want one."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from desk import eventually

#: The program's own word, or the operating system's.
SAID = re.compile(r"too many connections|Too many open files")


def test_the_soft_limit_is_raised_to_the_hard_one(start):
    """A shell's 256 are not what a server serves with."""
    server = start(prefix=("prlimit", "--nofile=256:2048", "--"))
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3] == "2048", line


def test_used_up_descriptors_are_said_and_given_back(start):
    """More connections than descriptors: the log says so in a sentence, and who comes afterwards is answered."""
    server = start(prefix=("prlimit", "--nofile=128:128", "--"))
    key = server.create_key("descriptors")
    before, descriptors = server.log(), server.descriptors()
    with contextlib.ExitStack() as opened:
        for number in range(200):
            with contextlib.suppress(OSError):
                opened.enter_context(server.raw(source=f"127.0.0.{2 + number % 100}", timeout=1))
        eventually("the log says that descriptors are used up", 10, lambda: SAID.search(server.log()[len(before) :]))
        assert len(server.log()) < 1_000_000, "it says so too often"
    eventually("the program answers again", 5, lambda: server.answers("/healthz") == 200)
    eventually("the connections are closed", 5, lambda: server.descriptors() < descriptors + 20)
    assert server.chat(key).status == 200
    assert server.halt() == 0
