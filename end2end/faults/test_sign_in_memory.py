"""Strangers try to sign in by the hundreds."""

from __future__ import annotations

import threading

from harness import MIB, quick


def test_memory_stays_within_bounds_whatever_strangers_try(start):
    """600 sign-ins of nobody from 200 networks, 24 at a time: memory grows by less than 100 MiB and stays there."""
    server = start("sqlite", extra=("--trusted-proxy", "127.0.0.1/32"))
    before, left, statuses = server.memory(), list(range(600)), []

    def attempts():
        while left:
            try:
                n = left.pop()
            except IndexError:
                return
            body = f"form%5Bemail%5D=nobody{n}%40example.com&form%5Bpassword%5D=violet+tram+kettle+{n}&form%5Bnext%5D=%2F".encode()
            headers = {"origin": server.base, "x-forwarded-for": f"198.51.{n % 200}.7", "content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
            statuses.append(quick(server.port, "POST", "/api/session/sign-in", body, 55, **headers).status)

    threads = [threading.Thread(target=attempts, daemon=True) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(55)
    assert len(statuses) == 600 and set(statuses) <= {422, 429}, sorted(set(statuses))
    assert statuses.count(422) > 300
    grown = (server.peak() - before) / MIB
    assert grown < 100, f"{grown:.0f} MiB"
