"""The files of an installation belong to its user alone."""

from __future__ import annotations

import os
import stat
import subprocess

from desk import clean_environment, eventually


def mode(path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_files_are_private_in_a_folder_that_is_everyones(start, tmp_path):
    """The data folder exists with mode 0755, as a package or an administrator makes it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    server = start("sqlite", data=folder, prefix=("sh", "-c", 'umask 022; exec "$@"', "sh"))
    server.create_key("private")
    names = ("keydesk.sqlite", "keydesk.sqlite-wal", "keydesk.sqlite-shm", "keydesk.sqlite.serving", "keydesk.sqlite.turn", "cookie.key", "provider.key")
    assert {file.name: oct(mode(file)) for file in folder.iterdir()} == {name: "0o600" for name in names}
    server.command("doctor")


def test_a_file_that_all_can_read_or_change_is_found_at_the_start(start, tmp_path):
    """Readable: a warning, and `keydesk doctor` fails. Changeable: the program does not start. Both say what to run."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    server = start("sqlite", data=folder)
    for name in ("cookie.key", "keydesk.sqlite"):
        file = folder / name
        file.chmod(0o644)
        server.restart()
        eventually("the log warns", 3, lambda: f"can read {file}. Run: chmod 600 {file}" in server.log())
        assert f"FAIL files: Every account of this machine can read {file}" in doctor(server)
        server.halt()
        file.chmod(0o666)
        argv = [server.binary, "serve", "--listen", "127.0.0.1:0", *server.arguments()]
        done = subprocess.run(argv, env=clean_environment(), capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and f"can change {file}. Run: chmod 600 {file}" in done.stderr, done
        file.chmod(0o600)
        server.restart()
    assert "FAIL files" not in doctor(server)
    # In a folder that nobody else may enter, a file's own mode does not matter.
    folder.chmod(0o700)
    (folder / "cookie.key").chmod(0o644)
    assert "FAIL files" not in doctor(server)


def doctor(server) -> str:
    done = subprocess.run([server.binary, "doctor", *server.arguments()], env=clean_environment(), capture_output=True, text=True, timeout=20)
    return done.stdout
