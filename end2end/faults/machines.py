"""What stands beside the program and is disturbed: a Postgres of a test's own, the clock, a small disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from desk import eventually, free_port


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


class Postgres:
    """A cluster of its own, on loopback."""

    def __init__(self):
        self.binaries = Path(os.environ["KEYDESK_PG_BIN"])
        self.folder = Path(tempfile.mkdtemp(prefix="kd-pg.", dir="/tmp"))
        # Postgres does not run as root.
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(self.folder, "postgres")
        self._run("initdb", "-D", self.data, "-U", "keydesk", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.port = free_port()
        settings = [f"port = {self.port}", "listen_addresses = '127.0.0.1'", f"unix_socket_directories = '{self.folder}'", "max_connections = 60"]
        with open(self.data / "postgresql.conf", "a") as file:
            file.write("\n".join(settings) + "\n")
        self._names, self._paused = 0, []
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"postgres://keydesk@127.0.0.1:{self.port}/postgres"

    def _run(self, name: str, *arguments) -> None:
        done = subprocess.run(
            [*self._as, str(self.binaries / name), *map(str, arguments)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    def database(self) -> str:
        """A new, empty database; its address."""
        self._names += 1
        self.execute(f"CREATE DATABASE faults_{self._names}")
        return f"postgres://keydesk@127.0.0.1:{self.port}/faults_{self._names}"

    def execute(self, *statements: str, url: str | None = None) -> None:
        with psycopg.connect(url or self.url, autocommit=True, connect_timeout=5) as connection:
            for statement in statements:
                connection.execute(statement)

    def start(self) -> None:
        # pg_ctl's own output goes to a file, or the server would keep this process's pipe open.
        self._run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-t", "30", "start")

    @property
    def postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def processes(self) -> list[int]:
        children = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children").read_text().split()
        return [self.postmaster, *map(int, children)]

    def pause(self) -> None:
        """Everything of it stands still, as a machine that hangs: connections stay, nothing is answered."""
        self._paused = self.processes()
        for process in self._paused:
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in self._paused:
            os.kill(process, signal.SIGCONT)
        self._paused = []

    def kill(self) -> None:
        """As a crash does it: SIGKILL to all. `start` recovers."""
        killed = self.processes()
        for process in killed:
            os.kill(process, signal.SIGKILL)
        eventually("Postgres is gone", 10, lambda: not any(alive(process) for process in killed))

    def stand_by(self) -> None:
        """As after a failover to a machine that follows another one: it can be read and takes no writes."""
        self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
        (self.data / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def cut(self, url: str) -> None:
        """All connections to this database end."""
        name = url.rsplit("/", 1)[1]
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def stop(self) -> None:
        try:
            self.resume()
            if (self.data / "postmaster.pid").exists() and alive(self.postmaster):
                self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class Clock:
    """The wall clock of the programs that have its environment; waiting (the monotonic clock) is not moved."""

    def __init__(self, folder: Path):
        self._file = folder / "clock"
        self.move(0)
        self.environment = {
            "LD_PRELOAD": os.environ["KEYDESK_FAKETIME"],
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, seconds: int) -> None:
        """So far from the true time, ahead if positive, from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)


class SmallDisk:
    """A tmpfs of so many mebibytes."""

    def __init__(self, mebibytes: int):
        self.folder = Path(tempfile.mkdtemp(prefix="kd-disk.", dir="/tmp"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "keydesk-faults", self.folder], check=True)

    def fill(self) -> None:
        """Until nothing more fits."""
        with open(self.folder / "filler", "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass

    def free(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)

    def remove(self) -> None:
        # Lazily: a program that is still ending may have a file open.
        subprocess.run(["umount", "-l", self.folder], check=True)
        self.folder.rmdir()
