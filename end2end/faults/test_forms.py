"""A form is sent while the database is full, locked or away: 503 with a sentence, what was typed is there, and it can be sent again."""

from __future__ import annotations

import sqlite3
import time
import urllib.parse
import urllib.request

from desk import ANA, LIMITS, Form, Page, Person, eventually

UNAVAILABLE = "The database is not available. Nothing was saved."
NOTE = "typed at length & kept"


def send(person: Person, page: Page, form: Form, **values) -> Page:
    """As `Person.post`, whatever the answer is."""
    data = urllib.parse.urlencode(form.fill(**values)).encode()
    url = urllib.parse.urljoin(person.base, form.action)
    return person._ask(urllib.request.Request(url, data, {"Origin": person.base, "Referer": page.url}))


def new_key(server, name: str) -> tuple[Page, Form, dict]:
    page = server.person.get(f"/{server.org}/keys/new")
    modes = {f"{limit}][mode": "none" for limit in LIMITS}
    return page, page.form("/api/keys/create"), {"name": name, "note": NOTE, "scope": "every", **modes}


def kept(refused: Page, name: str) -> Form:
    assert refused.status == 503, (refused.status, refused.words()[:500])
    assert UNAVAILABLE in refused.words(), refused.words()[:500]
    form = refused.form("/api/keys/create")
    assert ("form[key][name]", name) in form.fields and ("form[key][note]", NOTE) in form.fields, form.fields
    return form


def test_a_full_disk_keeps_what_was_typed_and_heals_within_a_second(start, small_disk):
    """The form comes back with its fields. When there is space again, the next try works, without a restart."""
    disk = small_disk(24)
    server = start("sqlite", data=disk.folder / "data")
    page, form, typed = new_key(server, "full")
    disk.fill()
    for number in range(200):
        answer = send(server.person, page, form, **{**typed, "name": f"full {number}"})
        if answer.status != 200:
            break
    again = kept(answer, f"full {number}")
    eventually("/readyz says so", 3, lambda: server.answers("/readyz", timeout=5) == 503)
    disk.free()

    def saved() -> bool:
        answer = send(server.person, page, again)
        assert answer.status in (200, 503), answer.words()[:300]
        return answer.status == 200

    eventually("it is saved", 1, saved)
    eventually("/readyz says so", 2, lambda: server.answers("/readyz") == 200)
    assert not server.errors() or "panicked" not in server.log()


def test_a_foreign_lock_costs_five_seconds_once(start):
    """Another program holds the write lock: the form comes back after five seconds, the next one sooner."""
    server = start("sqlite")
    page, form, typed = new_key(server, "locked")
    other = sqlite3.connect(server.folder / "data" / "keydesk.sqlite", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        again = kept(send(server.person, page, form, **typed), "locked")
        first = time.monotonic() - began
        kept(send(server.person, page, form, **typed), "locked")
        both = time.monotonic() - began
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert first < 6 and both < 7, (first, both)
    eventually("it is saved", 2, lambda: send(server.person, page, again).status == 200)


def test_a_database_that_is_away_keeps_what_was_typed(start, postgres):
    """Nothing can be read, so it is not even known who asks: a plain page holds the form and sends it again."""
    server = start(postgres.database())
    page, form, typed = new_key(server, "away")
    sign_in = Person(server.base)
    door = sign_in.get("/sign-in")
    postgres.kill()
    again = kept(send(server.person, page, form, **typed), "away")
    # A password is typed again, and is not on the page.
    refused = send(sign_in, door, door.form("/api/session/sign-in"), email=ANA["email"], password=ANA["password"])
    assert refused.status == 503 and ANA["password"] not in refused.body, refused.words()
    postgres.start()
    eventually("it is saved", 10, lambda: send(server.person, page, again).status == 200)
    assert "away" in server.person.get(f"/{server.org}/keys").words()
    enter = refused.form("/api/session/sign-in")
    assert ANA["org"] in send(sign_in, refused, enter, password=ANA["password"]).words()


def test_a_table_that_another_session_locked_costs_five_seconds(start, postgres):
    """A migration by hand holds the table of keys: 503 after five seconds, with what was typed."""
    import psycopg

    server = start(postgres.database())
    page, form, typed = new_key(server, "table")
    with psycopg.connect(server.database_url) as other:
        other.execute("LOCK TABLE keys IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        again = kept(send(server.person, page, form, **typed), "table")
        took = time.monotonic() - began
        other.rollback()
    assert took < 7.5, took
    assert send(server.person, page, again).status == 200
