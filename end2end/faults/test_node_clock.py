"""A node whose clock is off says so: rates and waits of several nodes agree as far as their clocks do."""

from __future__ import annotations

import subprocess

from desk import clean_environment, eventually


def doctor(server, environment) -> str:
    done = subprocess.run(
        [server.binary, "doctor", *server.arguments()], env=clean_environment(**environment), cwd=server.folder, capture_output=True, text=True, timeout=30
    )
    return done.stdout + done.stderr


def test_a_node_whose_clock_is_off_says_so(start, clock):
    """The log has a warning a minute, and `keydesk doctor` fails at the clock with what to do."""
    server = start("postgres", environment=clock.environment)
    assert "FAIL clock" not in doctor(server, clock.environment)
    mark = server.mark()
    clock.move(90)
    said = doctor(server, clock.environment)
    assert "FAIL clock" in said and "ahead of the database's" in said and "NTP" in said, said
    server.restart()
    eventually("the log says it", 30, lambda: "s ahead of the database's" in server.log(mark))
