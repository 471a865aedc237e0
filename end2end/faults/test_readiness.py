"""/readyz writes, and does so seldom."""

from __future__ import annotations

import sqlite3
import threading

from desk import eventually


def written(server) -> int:
    with sqlite3.connect(server.folder / "data" / "keydesk.sqlite") as database:
        return database.execute("SELECT written_at FROM readiness").fetchone()[0]


def test_readiness_is_found_by_writing_and_asked_for_at_will(start):
    """300 load balancers ask while another program holds the lock: each gets 503 soon, and the log says it a few times."""
    server = start("sqlite")
    before = written(server)
    eventually("it writes", 3, lambda: server.answers("/readyz") == 200 and written(server) > before)
    other = sqlite3.connect(server.folder / "data" / "keydesk.sqlite", isolation_level=None)
    mark = server.mark()
    try:
        other.execute("BEGIN IMMEDIATE")
        eventually("/readyz says it", 4, lambda: server.answers("/readyz", timeout=6) == 503)
        statuses: list[int | None] = []
        threads = [threading.Thread(target=lambda: statuses.append(server.answers("/readyz", timeout=6)), daemon=True) for _ in range(300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert statuses == [503] * 300, sorted(map(str, statuses))
    assert server.log(mark).count("not ready") <= 10
    assert server.answers("/healthz") == 200
    eventually("/readyz says that it is well", 3, lambda: server.answers("/readyz") == 200)
