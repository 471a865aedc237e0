"""An export goes on for as long as its person may have it."""

from __future__ import annotations

import sqlite3
import time
import urllib.parse
import urllib.request

import pytest

from desk import eventually
from harness import MIB

EVENTS = 60_000


@pytest.mark.parametrize("harm", ["demoted", "signed out"])
def test_an_export_ends_when_its_person_may_not_have_it_any_more(start, harm):
    """The file breaks off, and the browser says so: its length was never promised."""
    server = start("sqlite")
    server.halt()
    with sqlite3.connect(server.folder / "data" / "keydesk.sqlite") as database:
        # As many events as years bring. Their hashes are not asked for here.
        columns = [row[1] for row in database.execute("PRAGMA table_info(audit_events)")]
        seq, chain = database.execute("SELECT seq, chain_id FROM audit_heads WHERE chain_id LIKE 'org_%'").fetchone()
        chosen = ", ".join({"seq": f"{seq} + value", "hash": "randomblob(32)", "subject_name": "hex(randomblob(40))"}.get(name, name) for name in columns)
        database.execute(
            f"INSERT INTO audit_events ({', '.join(columns)}) SELECT {chosen} FROM audit_events, "
            f"(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {EVENTS}) SELECT value FROM n) "
            f"WHERE chain_id = '{chain}' AND seq = {seq}"
        )
        database.execute(f"UPDATE audit_heads SET seq = {seq + EVENTS} WHERE chain_id = '{chain}'")
    server.start()
    server.person = server.sign_in()

    def export():
        form = server.person.get(f"/{server.org}/audit").form("/api/audit/export")
        data = urllib.parse.urlencode([*form.fields, ("form[format]", "csv")]).encode()
        request = urllib.request.Request(f"{server.base}{form.action}", data, {"Origin": server.base, "Accept": "text/html"})
        return server.person._opener.open(request, timeout=20)

    def rest(answer) -> int:
        size = 0
        try:
            while piece := answer.read(65536):
                size += len(piece)
        except OSError:
            pass
        except Exception as error:
            assert "IncompleteRead" in type(error).__name__, error
        return size

    with export() as answer:
        whole = rest(answer)
    assert whole > 10 * MIB, whole
    with export() as answer:
        first = len(answer.read(65536))
        # What was read ahead is under way; then it waits for its reader.
        time.sleep(1)
        if harm == "demoted":
            with sqlite3.connect(server.folder / "data" / "keydesk.sqlite", timeout=10) as database:
                database.execute("UPDATE memberships SET role = 'member'")
        else:
            other = server.sign_in()
            page = other.get("/account/sessions")
            form = page.form("/api/account/end-other-sessions")
            form.fields.append(("form[confirm]", "yes"))
            other.post(form)
        size = first + rest(answer)
    assert size < whole / 2 + 6 * MIB and size < whole * 0.8, f"{size} of {whole} bytes came"
    eventually("the log says it", 5, lambda: "an export broke off" in server.log())
