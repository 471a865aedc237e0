"""Postgres stands still, is killed, takes no writes, or cuts its connections: requests are refused with a sentence, never admitted
unmetered, never answered with 500, and all is well again without anybody's help."""

from __future__ import annotations

import threading
import time

import pytest

from desk import eventually
from states import spent

#: A client's request is answered within this, whatever the database does.
PATIENCE = 12


def refused(server, key) -> None:
    began = time.monotonic()
    answer = server.chat(key, timeout=PATIENCE + 5)
    took = time.monotonic() - began
    assert answer.status == 503, answer
    assert answer.json["error"]["message"] and int(answer.headers["retry-after"]) >= 1
    assert took < PATIENCE, f"the refusal took {took:.1f} s"


def heals(server, key, within: float = 5) -> None:
    eventually("requests are answered again", within, lambda: server.chat(key).status == 200)
    eventually("/readyz says so", within, lambda: server.answers("/readyz") == 200)
    for _ in range(20):
        assert server.chat(key).status == 200


@pytest.mark.bounded(120)
def test_postgres_stands_still(start, postgres):
    """Its machine hangs: connections stay open and nothing comes. Requests get 503 in time, /readyz too, /healthz stays 200."""
    server = start(postgres.database())
    key = server.create_key("still")
    assert server.chat(key).status == 200
    postgres.pause()
    refused(server, key)
    assert server.answers("/healthz") == 200
    eventually("/readyz says so", PATIENCE, lambda: server.answers("/readyz", timeout=PATIENCE) == 503)
    statuses: list[int] = []
    many = [threading.Thread(target=lambda: statuses.append(server.chat(key, timeout=20).status), daemon=True) for _ in range(30)]
    for thread in many:
        thread.start()
    assert server.answers("/healthz") == 200
    postgres.resume()
    for thread in many:
        thread.join(PATIENCE + 5)
    # Those that were waiting when it went on may be answered after all.
    assert len(statuses) == 30 and set(statuses) <= {200, 503}, statuses
    heals(server, key)
    server.command("spend", "verify")
    assert server.halt() == 0


def test_postgres_is_killed_and_comes_back(start, postgres):
    """A crash and its recovery: 503 in between, and what was answered before is still counted."""
    server = start(postgres.database())
    key = server.create_key("crash")
    for _ in range(20):
        assert server.chat(key).status == 200
    postgres.kill()
    refused(server, key)
    assert server.answers("/healthz") == 200
    eventually("/readyz says so", PATIENCE, lambda: server.answers("/readyz", timeout=PATIENCE) == 503)
    postgres.start()
    heals(server, key, within=10)
    assert spent(server, key)[0] >= 40
    server.command("spend", "verify")


def test_postgres_takes_no_writes(start, postgres):
    """After a failover to a standby: what needs no write is still shown, and /readyz says 503."""
    server = start(postgres.database())
    key = server.create_key("read-only")
    assert server.chat(key).status == 200
    postgres.stand_by()
    eventually("requests are refused", PATIENCE, lambda: server.chat(key).status == 503)
    refused(server, key)
    eventually("/readyz says so", PATIENCE, lambda: server.answers("/readyz", timeout=PATIENCE) == 503)
    assert server.answers("/healthz") == 200
    assert server.answers("/sign-in") == 200
    postgres.promote()
    heals(server, key)


def test_postgres_cuts_its_connections(start, postgres):
    """A firewall or an administrator ends all connections, again and again. Requests in flight may get 503, none gets 500, and the
    very next ones work."""
    server = start(postgres.database())
    key = server.create_key("cut")
    statuses: list[int] = []
    end = threading.Event()

    def send():
        while not end.is_set():
            statuses.append(server.chat(key).status)

    threads = [threading.Thread(target=send, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        time.sleep(0.3)
        postgres.cut(server.database_url)
    time.sleep(0.5)
    end.set()
    for thread in threads:
        thread.join(10)
    assert set(statuses) <= {200, 503}, sorted(set(statuses))
    assert statuses.count(200) > 0.8 * len(statuses) > 50, f"{statuses.count(200)} of {len(statuses)} were answered"
    heals(server, key)
    assert spent(server, key)[0] >= statuses.count(200)
    server.command("spend", "verify")
