"""Guessing from everywhere: whoever signed in here before gets in all the same, and the account is still guessed at slowly."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from browsers import PROXIED, Browser
from desk import ANA

FORTY_A_SECOND = 1 / 40
SECONDS = 12


class Guessing:
    """Forty wrong passwords a second for one account, each from a /64 that was never seen."""

    def __init__(self, base: str):
        self.base, self.statuses = base, []
        self._networks, self._end = itertools.count(1), threading.Event()

    def __enter__(self):
        self._pool = ThreadPoolExecutor(150)
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()
        return self

    def _send(self):
        while not self._end.wait(FORTY_A_SECOND):
            n = next(self._networks)
            self._pool.submit(self._guess, f"2001:db8:{n >> 8:x}:{n & 255:x}::1")

    def _guess(self, address: str):
        self.statuses.append(Browser(self.base, address).send("session/sign-in", {"email": ANA["email"], "password": "wrong password, long enough"})[0])

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self._pool.shutdown()
        self.seconds = time.monotonic() - self._began


def test_a_known_device_gets_in_under_forty_guesses_a_second(start, database):
    """Wrong passwords for one account from ever new networks: in the log, refused sign-ins with "too many". The owner's own devices
    and networks get in within seconds, and no more passwords are looked at than the account's own pace."""
    server = start(database, extra=PROXIED)
    device = Browser(server.base, "198.51.100.7")
    assert device.sign_in() == 200
    home = Browser(server.base, "198.51.100.7")
    let_in, slowest = [], 0.0
    with Guessing(server.base) as guessing:
        time.sleep(4)
        ends = time.monotonic() + SECONDS
        for turn in range(25):
            # On the road with the device, or at home with a new browser.
            device.address = f"203.0.113.{turn + 1}"
            began = time.monotonic()
            let_in.append((device if turn % 5 else home).sign_in())
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(max(0.0, (ends - time.monotonic()) / (25 - turn)))
    assert let_in == [200] * 25
    assert slowest < 5
    looked_at = guessing.statuses.count(422)
    assert len(guessing.statuses) > 200, "the guessing was too slow to judge"
    assert looked_at <= 100 + guessing.seconds / 2 + 5, f"{looked_at} passwords were looked at in {guessing.seconds:.0f} s"
    assert set(guessing.statuses) <= {422, 429}


def test_a_known_device_gets_in_from_an_office_where_many_names_are_wrong(start):
    """Many people in one office mistype: everyone there waits for up to a minute, but for devices that signed in before."""
    server = start("sqlite", extra=PROXIED)
    device = Browser(server.base, "198.51.100.7")
    assert device.sign_in() == 200
    device.address = office = "192.0.2.44"
    for n in range(26):
        Browser(server.base, office).sign_in(f"person{n}@example.com", "wrong password, long enough")
    status, _, headers = Browser(server.base, office).send("session/sign-in", {"email": ANA["email"], "password": ANA["password"]})
    assert status == 429
    assert 1 <= int(headers["retry-after"]) <= 60
    assert device.sign_in() == 200


@pytest.mark.bounded(90)
def test_a_right_password_on_a_known_device_is_delayed_and_not_refused(start):
    """After ten mistakes of one's own, the next attempt takes a few seconds and is answered; each device waits for itself."""
    server = start("sqlite", extra=PROXIED)
    device = Browser(server.base, "198.51.100.7")
    assert device.sign_in() == 200
    for _ in range(8):
        assert device.sign_in(password="wrong password, long enough") == 422
    began = time.monotonic()
    assert device.sign_in() == 200
    assert 1 < time.monotonic() - began < 8


def test_a_reset_link_makes_the_device_known(start):
    """A new computer while somebody guesses: the administrator's reset link lets its owner in."""
    server = start("sqlite", extra=PROXIED)
    with Guessing(server.base):
        time.sleep(5)
        new = Browser(server.base, "203.0.113.99")
        link = server.command("reset-password", ANA["email"], "--base-url", server.base).strip()
        page = new.get(link.removeprefix(server.base))
        new.post(page.form("/api/session/reset"), password="copper lantern seven rivers")
        assert new.sign_in(password="copper lantern seven rivers") == 200
