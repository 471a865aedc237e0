"""The data folder's disk is full: nothing is admitted unmetered, and it heals with the space."""

from __future__ import annotations

from desk import eventually
from states import spent


def test_a_full_disk_refuses_and_heals(start, small_disk):
    """Requests get 503 with a sentence, /readyz too, /healthz stays 200 and pages are shown. Space is back: all works within
    seconds, without a restart, and the counters agree with the requests."""
    disk = small_disk(24)
    server = start("sqlite", data=disk.folder / "data")
    key = server.create_key("full")
    assert server.chat(key).status == 200
    disk.fill()
    statuses = [server.chat(key, timeout=20).status for _ in range(30)]
    assert set(statuses) <= {200, 503} and statuses[-1] == 503, statuses
    assert server.answers("/healthz") == 200
    eventually("/readyz says so", 10, lambda: server.answers("/readyz", timeout=8) == 503)
    assert server.answers("/sign-in") == 200
    disk.free()
    eventually("requests are answered again", 3, lambda: server.chat(key).status == 200)
    eventually("/readyz says so", 5, lambda: server.answers("/readyz") == 200)
    for _ in range(20):
        assert server.chat(key).status == 200
    assert spent(server, key)[0] >= 22
    server.command("spend", "verify")
    assert server.halt() == 0


def test_a_kill_on_a_full_disk_loses_nothing(start, small_disk):
    """The disk is full and then the power fails: what was answered is there after both are back."""
    disk = small_disk(24)
    server = start("sqlite", data=disk.folder / "data")
    key = server.create_key("full")
    disk.fill()
    answered = sum(server.chat(key, timeout=20).status == 200 for _ in range(30))
    server.kill()
    disk.free()
    server.restart()
    server.person = server.sign_in()
    assert spent(server, key)[0] >= answered
    server.command("spend", "verify")
    assert "intact" in server.command("audit", "verify")
