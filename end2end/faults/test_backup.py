"""Backups: under load, with a full disk, broken off by a kill, and of a folder that was copied in another way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest

from desk import clean_environment
from states import spent


def run(server, *arguments: str) -> subprocess.CompletedProcess:
    argv = [server.binary, *arguments]
    return subprocess.run(argv, env=clean_environment(), cwd=server.folder, capture_output=True, text=True, timeout=50)


def restored(server, file, folder, *options: str) -> str:
    """Restores a backup into a folder, and verifies what is there then; the folder."""
    data = ["--data", str(folder)]
    done = run(server, "restore", str(file), *options, *data)
    assert done.returncode == 0, done
    for check in ("audit", "spend"):
        done = run(server, check, "verify", *data)
        assert done.returncode == 0, done
    return str(folder)


@pytest.mark.bounded(120)
def test_a_backup_is_made_under_load(start, neighbour, tmp_path):
    """Requests go on as if there was none. Each backup verifies, and a server on a restored one has what was counted before."""
    server = start("sqlite")
    key = server.create_key("kept")
    for _ in range(30):
        assert server.chat(key).status == 200
    before, _ = spent(server, key)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("marble otter lantern seven\n")
    files = []
    with neighbour(server, every=0.02, threads=4) as n:
        time.sleep(1)
        n.forget()
        for at in range(4):
            file = tmp_path / f"backup-{at}"
            sealed = ("--passphrase-file", str(passphrase)) if at % 2 else ()
            server.command("backup", str(file), *sealed)
            files.append((file, sealed))
        time.sleep(1)
    assert n.sent >= 20 and not n.failures, n.failures[:5]
    for file, sealed in files:
        folder = tmp_path / f"restored {file.name}"
        restored(server, file, folder, *sealed)
    server.halt()
    if not (folder / "cookie.key").exists():
        shutil.copy(server.folder / "data" / "cookie.key", folder)
    server.restart(data=folder)
    assert spent(server, key)[0] >= before == 30
    assert server.chat(key).status == 200


def test_a_backup_on_a_full_disk_leaves_nothing(start, small_disk, tmp_path):
    """The command says that there is no space, nothing of the backup is left, and the server goes on."""
    disk = small_disk(4)
    server = start("sqlite")
    key = server.create_key("full")
    disk.fill()
    before = sorted(os.listdir(disk.folder))
    done = run(server, "backup", str(disk.folder / "backup"), *server.arguments())
    assert done.returncode == 1 and "Check that there is space" in done.stderr, done
    assert sorted(os.listdir(disk.folder)) == before
    assert server.chat(key).status == 200
    disk.free()
    server.command("backup", str(disk.folder / "backup"))


def test_a_backup_that_is_killed_has_no_name_or_is_whole(start, tmp_path):
    """Killed at any moment: there is no file of its name that is not whole, and the next backup is made."""
    server = start("sqlite")
    server.create_key("killed")
    argv = [server.binary, "backup", str(tmp_path / "backup"), *server.arguments()]
    for at in range(12):
        process = subprocess.Popen(argv, env=clean_environment(), cwd=server.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.01 * at)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "backup").exists():
            break
    for left in tmp_path.glob("backup.partial-*"):
        left.unlink()
    if not (tmp_path / "backup").exists():
        server.command("backup", str(tmp_path / "backup"))
    restored(server, tmp_path / "backup", tmp_path / "restored")


def test_a_copied_folder_of_a_running_server_is_not_served(start, neighbour, tmp_path):
    """A server on the copy does not start and says why; the original goes on, and starts again after a kill."""
    server = start("sqlite")
    server.create_key("copied")
    data, copy = server.folder / "data", tmp_path / "copy"
    with neighbour(server):
        time.sleep(0.5)
        shutil.copytree(data, copy)
    done = run(server, "serve", "--listen", "127.0.0.1:0", "--data", str(copy))
    assert done.returncode == 1 and "is a copy of" in done.stderr and "Restore a backup" in done.stderr, done
    server.kill()
    server.restart()
    server.halt()
    # All of it is in the files now.
    whole = tmp_path / "whole"
    shutil.copytree(data, whole)
    server.restart(data=whole)
    assert server.answers("/readyz") == 200
