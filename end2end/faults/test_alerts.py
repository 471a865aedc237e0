"""Alerts arrive once whatever happens between the crossing and the mail, and a webhook that misbehaves keeps no one waiting."""

from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from desk import ANA, clean_environment, eventually
from harness import Process
from test_second_step import Mailbox

FAST = ("--alert-seconds", "1")
SLOW = ("--alert-seconds", "3600")


@pytest.fixture
def mailbox():
    mailbox = Mailbox()
    yield mailbox
    mailbox.stop()


@pytest.fixture
def dead_mail():
    """A mail server that takes connections and never says a word."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            taken.set()
            self.rfile.read()

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads, allow_reuse_address = True, True

    taken = threading.Event()
    server = Listener(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url, server.taken = f"smtp://127.0.0.1:{server.server_address[1]}", taken
    yield server
    server.shutdown()
    server.server_close()


class Sink:
    """A receiver of webhooks: `behave` is a status, or seconds for which it hangs."""

    def __init__(self):
        sink, self.posts, self.behave = self, [], 200

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.posts.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                if isinstance(sink.behave, float):
                    time.sleep(sink.behave)
                    return
                self.send_response(sink.behave)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads, block_on_close = True, False

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def sink():
    sink = Sink()
    yield sink
    sink.stop()


def mail(to) -> dict[str, str]:
    return {"KEYDESK_SMTP_URL": to.url, "KEYDESK_MAIL_FROM": "keydesk@example.com"}


def nearly_spent(server, what: str):
    """A key of whose budget one request spends half."""
    measure = server.create_key(f"measure {what}")
    assert server.chat(measure).status == 200
    cost = server.spent_nanos(measure)
    key = server.create_key(what, month=f"{2 * cost / 1e9:.9f}")
    assert server.chat(key).status == 200
    return key


@pytest.mark.bounded(120)
def test_an_alert_comes_once_though_the_program_is_killed_before_and_while_it_is_sent(start, database, clock, mailbox, dead_mail):
    """Killed between the crossing and the look, and again while the mail is on its way: after the next start the mail comes, once."""
    server = start(database, extra=SLOW, environment={**clock.environment, **mail(dead_mail)})
    # The first look is made at the start, and the next one would be in an hour: this crossing is seen by none.
    time.sleep(1)
    nearly_spent(server, "watched")
    server.kill()
    server.restart(extra=FAST)
    assert dead_mail.taken.wait(20), "the mail is on its way"
    server.kill()
    server.restart(environment={**clock.environment, **mail(mailbox)})
    server.person = server.sign_in()
    assert "has spent 50 %" in server.person.get(f"/{server.org}/inbox").words()
    assert not mailbox.letters, "still leased by who is dead"
    clock.move(240)
    eventually("the mail comes", 20, lambda: len(mailbox.letters) == 1)
    assert f"To: {ANA['email']}" in mailbox.letters[0] and "text/html" in mailbox.letters[0]
    clock.move(600)
    time.sleep(4)
    assert len(mailbox.letters) == 1
    assert server.halt() == 0


@pytest.mark.bounded(120)
def test_two_nodes_send_each_alert_once(start, mailbox):
    """Two nodes on one Postgres look and send at the same time; one of them dies, and the other goes on."""
    server = start("postgres", extra=FAST, environment=mail(mailbox))
    argv = [server.binary, "serve", "--listen", "127.0.0.1:0", "--log-json", *server.arguments(), *FAST]
    environment = clean_environment(**server.environment)
    second = Process(argv, server.folder, server.folder / "second.log", environment)
    try:
        nearly_spent(server, "first")
        eventually("the mail comes", 30, lambda: len(mailbox.letters) >= 1)
        time.sleep(5)
        assert len(mailbox.letters) == 1, mailbox.letters
        server.kill()
        server.restart()
        server.person = server.sign_in()
        nearly_spent(server, "other")
        eventually("the inbox has it", 30, lambda: "other" in server.person.get(f"/{server.org}/inbox").words())
        # One mail a minute.
        eventually("the other mail comes", 80, lambda: len(mailbox.letters) == 2)
    finally:
        second.process.kill()
        second.process.wait()


@pytest.mark.bounded(150)
def test_a_webhook_that_hangs_redirects_or_fails_is_tried_again_and_delays_no_mail(start, clock, mailbox, sink):
    """The delivery log says why, mail comes at once, and the post comes when the receiver is well again, with the same id."""
    extra = (*FAST, "--allow-private-webhooks")
    server = start("sqlite", extra=extra, environment={**clock.environment, **mail(mailbox)})
    settings = f"/{server.org}/settings/alerts"
    page = server.person.get(settings)
    page = server.person.post(page.form("/api/alerts/add-webhook"), name="bot", form="signed", url=sink.url)
    secret = page.by_id["secret"]
    assert secret.startswith("whsec_") and "secret" not in server.person.get(settings).by_id
    sink.behave = 60.0
    nearly_spent(server, "watched")
    eventually("it is posted", 20, lambda: sink.posts)
    eventually("the mail does not wait", 8, lambda: mailbox.letters)
    log = lambda words: words in server.person.get(settings).words()
    eventually("the log says that it hangs", 20, lambda: log("No answer within 10 seconds"))
    for ahead, status, words in ((600, 302, "It answered 302. Redirects are not followed."), (1200, 500, "It answered 500.")):
        sink.behave = status
        clock.move(ahead)
        server.person = server.sign_in()
        eventually(words, 20, lambda: log(words))
    assert all(path == "/hook" for path, _, _ in sink.posts), "no redirect was followed"
    sink.behave = 200
    clock.move(3600)
    server.person = server.sign_in()
    tried = len(sink.posts)
    eventually("it is posted again", 20, lambda: len(sink.posts) > tried)
    eventually("the log says sent", 20, lambda: not log("Trying again"))
    assert len({headers["x-keydesk-delivery"] for _, headers, _ in sink.posts}) == 1
    _, headers, body = sink.posts[-1]
    assert json.loads(body)["kind"] == "budget"
    parts = dict(part.split("=") for part in headers["x-keydesk-signature"].split(","))
    expected = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(parts["v1"], expected)
    assert len(mailbox.letters) == 1


def test_private_addresses_are_refused_unless_they_are_allowed(start, sink):
    """The delivery log says it, and nothing is posted."""
    server = start("sqlite", extra=FAST)
    settings = f"/{server.org}/settings/alerts"
    url = sink.url.replace("127.0.0.1", "localhost")
    server.person.post(server.person.get(settings).form("/api/alerts/add-webhook"), name="bot", form="slack", url=url)
    server.person.post(server.person.get(settings).form("/api/alerts/test-webhook"))
    eventually("the log says it", 20, lambda: "private network" in server.person.get(settings).words())
    assert not sink.posts
