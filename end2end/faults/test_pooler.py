"""Postgres behind PgBouncer, and migrations that wait."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conftest import new_database
from desk import Program, clean_environment, free_port


@contextmanager
def pgbouncer(database_url: str, *settings: str):
    """In front of this database, with few connections to it; gives the address to use instead."""
    server, port = urllib.parse.urlsplit(database_url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="kd-bouncer.", dir="/tmp"))
    name = server.path.strip("/")
    lines = [
        "[databases]",
        f"{name} = host={server.hostname} port={server.port} dbname={name} user={server.username}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "auth_type = any",
        "unix_socket_dir =",
        *settings,
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    argv = [os.environ.get("KEYDESK_PGBOUNCER") or shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:
        # It does not run as root.
        shutil.chown(folder, "postgres")
        argv = ["runuser", "-u", "postgres", "--", *argv]
    bouncer = Program(argv, folder, folder / "log", clean_environment())
    try:
        bouncer.listens(port)
        yield server._replace(netloc=f"{server.username}@127.0.0.1:{port}").geturl()
    finally:
        bouncer.stop()
        shutil.rmtree(folder)


MODES = {
    "transaction": ("pool_mode = transaction", "default_pool_size = 4"),
    "transaction, parameters ignored": ("pool_mode = transaction", "default_pool_size = 4", "ignore_startup_parameters = options,extra_float_digits"),
    "session": ("pool_mode = session", "default_pool_size = 20"),
}


@pytest.mark.bounded(90)
@pytest.mark.parametrize("mode", MODES)
def test_everything_works_behind_pgbouncer(start, mode):
    """It is found without an option. Forms, searches, requests, budgets and commands work, with 8 clients on 4 connections."""
    database = new_database()
    with pgbouncer(database, *MODES[mode]) as url:
        server = start(url)
        key = server.create_key("pooled", month="1000")
        statuses: list[int] = []

        def send():
            for _ in range(15):
                statuses.append(server.chat(key).status)

        threads = [threading.Thread(target=send, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for path in ("keys?q=pool", "audit", "members", "teams", "settings"):
            assert server.person.get(f"/{server.org}/{path}").status == 200, path
        for thread in threads:
            thread.join(60)
        assert statuses == [200] * 120, sorted(set(statuses))
        with psycopg.connect(database) as direct:
            assert direct.execute("SELECT COUNT(*) FROM usage").fetchone() == (120,)
            assert direct.execute("SELECT COUNT(*) FROM reservations").fetchone() == (0,)
        server.disable(key)
        assert server.chat(key).status == 401
        assert server.answers("/readyz") == 200
        server.command("spend", "verify")
        assert "intact" in server.command("audit", "verify")
        server.command("migrate")
        assert server.halt() == 0
        server.restart()
        assert server.sign_in().get(f"/{server.org}/keys").status == 200
        assert not [line for line in server.errors() if "prepared statement" in line or "panicked" in line]


@pytest.mark.bounded(90)
def test_a_migration_waits_for_another_nodes_as_long_as_it_takes(tmp_path):
    """Longer than any statement of a request may: 17 seconds here."""
    database = new_database()
    argv = [os.environ["KEYDESK_BIN"], "migrate", "--database-url", database, "--data", str(tmp_path)]
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(7)")
        migrating = subprocess.Popen(argv, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            time.sleep(17)
            assert migrating.poll() is None, migrating.stdout.read()
            other.rollback()
            out, _ = migrating.communicate(timeout=30)
        finally:
            migrating.kill()
            migrating.wait()
    assert migrating.returncode == 0, out
