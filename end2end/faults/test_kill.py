"""A machine that loses its power, as SIGKILL: what was answered is recorded."""

from __future__ import annotations

import threading
import time

import pytest

from desk import ask, eventually
from states import spent


@pytest.mark.bounded(120)
def test_what_was_answered_before_a_kill_is_recorded_after_it(start, database):
    """The program is gone in the middle of its work, five times. Clients see broken connections until it is started again; each
    request that was answered is in the counters, none is there twice, and the audit's chain is whole."""
    server = start(database)
    key = server.create_key("killed")
    server.chat(key)
    cost = server.spent_nanos(key)
    assert cost > 0
    answered = sent = 1
    for round_ in range(5):
        counts, end = [[0, 0] for _ in range(4)], threading.Event()

        def send(count):
            while not end.is_set():
                count[0] += 1
                try:
                    count[1] += server.chat(key, timeout=5).status == 200
                except OSError:
                    end.wait(0.01)

        threads = [threading.Thread(target=send, args=(count,), daemon=True) for count in counts]
        for thread in threads:
            thread.start()
        time.sleep(0.5 + 0.13 * round_)
        named = f"While it runs {round_}"
        server.create_key_by_name(named)
        server.kill()
        end.set()
        for thread in threads:
            thread.join(10)
        server.restart()
        server.person = server.sign_in()
        sent += sum(count[0] for count in counts)
        answered += sum(count[1] for count in counts)
        recorded = spent(server, key)[0]
        assert answered <= recorded <= sent, f"{answered} answered, {recorded} recorded, {sent} sent"
        assert server.spent_nanos(key) == recorded * cost
        assert named in server.person.get(f"/{server.org}/keys").body, "a key that was shown is gone"
    assert answered > 100, f"only {answered} were answered: too few to judge"
    server.command("spend", "verify")
    assert "intact" in server.command("audit", "verify")
    assert server.halt() == 0


def test_what_a_kill_left_reserved_is_given_back(start, clock, provider):
    """Requests that were at the provider when the machine failed keep their places among a key's concurrent ones, and their part of
    its budget, for two minutes."""
    server = start("sqlite", environment=clock.environment)
    provider.connect(server)
    key = server.create_key("reserved", concurrent="2")
    threads = [threading.Thread(target=lambda: swallow(lambda: server.chat(key, "delay=20")), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually("both are at the provider", 5, lambda: len(provider.asked) == 2)
    assert server.chat(key).status == 429, "two at a time are allowed"
    server.kill()
    server.restart()
    assert server.chat(key).status == 429
    clock.move(121)
    eventually("a request is admitted again", 5, lambda: server.chat(key).status == 200)
    assert ask(f"{server.base}/v1/key", key.secret).status == 200


def swallow(act):
    try:
        act()
    except OSError:
        pass
