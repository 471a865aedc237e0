"""Passwords that everyone knows, and addresses that are none, are refused with a sentence."""

from __future__ import annotations

import pytest

from browsers import Browser
from desk import ANA

GOOD = "copper lantern seven rivers"


def new_password(browser: Browser, password: str) -> tuple[int, str]:
    status, words, _ = browser.send("account/password", {"current": ANA["password"], "password": password})
    return status, words


def test_known_and_personal_passwords_are_refused_with_the_reason(start):
    """Quoted phrases, the organisation's name with a year, the person's name: refused beside the field, before anything changes."""
    server = start("sqlite")
    browser = Browser(server.base)
    assert browser.sign_in() == 200
    for password, why in [
        ("correct horse battery staple", "quoted"),
        ("Correct-Horse-Battery-Staple-1", "quoted"),
        ("AcmeAcmeAcme2026!", "organisation"),
        ("acme-2026-acme-2026", "organisation"),
        ("Ana Ruiz Ana Ruiz 2026", "name"),
        ("passwordpassword", "attackers"),
        ("qwertyuiop1234567890", "attackers"),
        ("short", "at least 15 characters"),
    ]:
        status, words = new_password(browser, password)
        assert status == 422 and why in words, (password, words)
    # What was there before stays valid, and a good one is taken.
    assert Browser(server.base).sign_in() == 200
    assert new_password(browser, GOOD)[0] == 200
    assert Browser(server.base).sign_in(password=GOOD) == 200


@pytest.mark.parametrize("email", ["a@b@x", "a@b@example.com", "ana@example", "a..b@example.com", "ana@-x.com", "ana@127.0.0.1"])
def test_addresses_that_are_none_are_refused(start, email):
    """An invitation to such an address is refused beside its field."""
    server = start("sqlite")
    browser = Browser(server.base)
    assert browser.sign_in() == 200
    status, words, _ = browser.send("invitations/invite", {"org": server.org, "email": email, "role": "member"})
    assert status == 422 and "email" in words, words
