"""Another program, such as a backup or a curious `sqlite3`, keeps the SQLite file locked."""

from __future__ import annotations

import sqlite3
import threading
import time

from desk import eventually


def test_a_foreign_lock_delays_and_refuses_and_passes(start):
    """Requests get 503 after at most five seconds and a little, /readyz says 503; when the lock goes, all is well within seconds."""
    server = start("sqlite")
    key = server.create_key("locked")
    assert server.chat(key).status == 200
    other = sqlite3.connect(server.folder / "data" / "keydesk.sqlite", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        answer = server.chat(key, timeout=20)
        took = time.monotonic() - began
        assert answer.status == 503 and answer.json["error"]["message"], answer
        assert took < 7, f"the refusal took {took:.1f} s"
        assert server.answers("/healthz") == 200
        eventually("/readyz says so", 10, lambda: server.answers("/readyz", timeout=8) == 503)
        # What only reads goes on.
        assert server.answers("/sign-in") == 200
        other.execute("ROLLBACK")
    finally:
        other.close()
    eventually("requests are answered again", 3, lambda: server.chat(key).status == 200)
    eventually("/readyz says so", 5, lambda: server.answers("/readyz") == 200)
    for _ in range(20):
        assert server.chat(key).status == 200
    server.command("spend", "verify")


def test_a_short_lock_is_waited_out(start):
    """A lock of a second costs that second, and no answer."""
    server = start("sqlite")
    key = server.create_key("locked")
    other = sqlite3.connect(server.folder / "data" / "keydesk.sqlite", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(server.chat(key).status), daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        other.execute("ROLLBACK")
        for thread in threads:
            thread.join(10)
        assert statuses == [200] * 8, statuses
    finally:
        other.close()
