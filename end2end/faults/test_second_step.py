"""Somebody knows the password and types codes: they guess slowly, keep no one out, and the owner is told."""

from __future__ import annotations

import socketserver
import threading
import time

import pytest

from browsers import PROXIED, Browser, totp, turn_on_second_factor, wrong_code
from desk import ANA, eventually


class Mailbox:
    """A mail server that takes every letter."""

    def __init__(self):
        mailbox, self.letters = self, []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                def say(line: str):
                    self.wfile.write(f"{line}\r\n".encode())

                say("220 mail")
                while line := self.rfile.readline().decode():
                    if line.upper().startswith("DATA"):
                        say("354 go on")
                        letter = []
                        while (part := self.rfile.readline().decode()) not in (".\r\n", ""):
                            letter.append(part)
                        mailbox.letters.append("".join(letter).replace("=\r\n", ""))
                    elif line.upper().startswith("QUIT"):
                        return say("221 bye")
                    say("250 ok")

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address = True, True

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"smtp://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def mailbox():
    mailbox = Mailbox()
    yield mailbox
    mailbox.stop()


def code(browser: Browser, typed: str, field: str = "code") -> int:
    return browser.send("session/code", {field: typed})[0]


@pytest.mark.bounded(120)
def test_wrong_codes_keep_no_one_out_and_the_owner_is_told(start, database, mailbox):
    """Wrong codes behind the right password: in the log, refused codes; the owner has a mail after five, their own device takes a code
    at once, recovery codes always work, and the next sign-in says how many there were."""
    mail = {"KEYDESK_SMTP_URL": mailbox.url, "KEYDESK_MAIL_FROM": "keydesk@example.com"}
    server = start(database, extra=PROXIED, environment=mail)
    owner = Browser(server.base, "198.51.100.7")
    assert owner.sign_in() == 200
    secret, recovery = turn_on_second_factor(owner)

    thief = Browser(server.base, "203.0.113.66")
    statuses = []
    for _ in range(6):
        assert thief.sign_in() == 200
        statuses += [code(thief, wrong_code(secret)) for _ in range(6)]
    assert statuses[:6] == [422] * 5 + [409], "five in one attempt"
    assert statuses[-1] in (409, 429) and statuses.count(422) <= 22, statuses
    assert len(mailbox.letters) == 1, mailbox.letters
    assert f"To: {ANA['email']}" in mailbox.letters[0] and "change your password" in mailbox.letters[0]

    # A recovery code on a browser that nobody knows, and a code on the owner's own device.
    new = Browser(server.base, "203.0.113.67")
    assert new.sign_in() == 200
    assert code(new, recovery[0], "recovery") == 200
    words = new.get("/").words()
    assert "wrong codes were typed after your right password" in words and "recovery code" in words, words[:500]

    assert thief.sign_in() == 200
    eventually("one more wrong code", 20, lambda: code(thief, wrong_code(secret)) == 422)
    # The next code: the one that turned it on is used up.
    time.sleep(31 - time.time() % 30)
    owner.address = "203.0.113.68"
    assert owner.sign_in() == 200
    assert code(owner, totp(secret)) == 200
    words = owner.get("/").words()
    assert "One wrong code was typed after your right password" in words, words[:500]


def test_a_code_that_was_used_is_not_used_again(start):
    """What protects codes stays: one code is one sign-in, also in another attempt."""
    server = start("sqlite", extra=PROXIED)
    owner = Browser(server.base, "198.51.100.7")
    assert owner.sign_in() == 200
    secret, _ = turn_on_second_factor(owner)
    time.sleep(31 - time.time() % 30)
    now = totp(secret)
    first, second = Browser(server.base, "198.51.100.8"), Browser(server.base, "198.51.100.9")
    assert [first.sign_in(), second.sign_in()] == [200, 200]
    assert code(first, now) == 200
    assert code(second, now) == 422
