"""A clock that ran ahead and is put right: every wait is as long as its rule says, whatever the clock did."""

from __future__ import annotations

import pytest

from desk import ANA, Person, eventually

HOUR = 3600


def signs_in(server, password: str) -> bool:
    """Whether this password lets the owner in now; a refusal may be an error of the page, or of the throttle."""
    person = Person(server.base)
    form = person.get("/sign-in").form("/api/session/sign-in")
    try:
        return ANA["org"] in person.post(form, email=ANA["email"], password=password).words()
    except AssertionError:
        return False


@pytest.mark.bounded(150)
def test_a_rate_that_was_used_up_ahead_comes_back(start, database, clock):
    """The machine's clock is an hour ahead while a key uses up its rate, and is then put right: the key waits a minute at most."""
    server = start(database, environment=clock.environment)
    key = server.create_key("ahead", rpm="2")
    clock.move(HOUR)
    statuses = [server.chat(key).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    clock.move(0)
    # Only so that the test need not wait for the minute.
    clock.move(61)
    eventually("the key works again", 65, lambda: server.chat(key).status == 200)
    server.command("spend", "verify")


@pytest.mark.bounded(150)
def test_a_throttle_that_was_used_up_ahead_lets_in_again(start, database, clock):
    """Wrong passwords while the clock is an hour ahead; when it is right again, the owner waits no longer than after wrong passwords
    now."""
    server = start(database, environment=clock.environment)
    clock.move(HOUR)
    for _ in range(15):
        assert not signs_in(server, "not the password at all")
    clock.move(0)
    clock.move(61)
    eventually("the owner is let in", 75, lambda: signs_in(server, ANA["password"]))


def test_two_months_ahead_and_back_lose_nothing(start, database, clock):
    """A wrong month on the mainboard: requests pass meanwhile, and afterwards budgets, audit and pages are as before."""
    server = start(database, environment=clock.environment)
    key = server.create_key("months", month="5")
    assert server.chat(key).status == 200
    clock.move(60 * 24 * HOUR)
    assert server.chat(key).status == 200
    clock.move(-60 * 24 * HOUR)
    assert server.chat(key).status == 200
    clock.move(0)
    assert server.chat(key).status == 200
    assert server.halt() == 0
    server.restart()
    assert server.chat(key).status == 200
    server.command("spend", "verify")
    assert "intact" in server.command("audit", "verify")
