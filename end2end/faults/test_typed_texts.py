"""Whatever is typed into whichever field: a pasted key is not stored anywhere, and a zero character is no error of the program."""

from __future__ import annotations

import sqlite3
import urllib.parse
import urllib.request

from desk import Form, Page
from harness import quick

#: Fields that ask for a secret or a search, and what the program itself wrote into the form.
OTHERS = ("password]", "token]", "secret]", "raw]", "current]", "code]", "recovery]", "q]", "was]", "rest]", "version]", "page")
#: Another service's, which is nobody's here.
FOREIGN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def pages(server, key) -> list[str]:
    org = server.org
    own = [f"/{org}/{path}" for path in ("keys/new", "teams/new", "members/invite", "settings", "audit", "doctor", "leave", "live-test")]
    own += [f"{key.path}{end}" for end in ("", "/edit", "/rotate", "/revoke", "/extend")]
    return own + ["/account", "/account/password", "/account/sessions", "/account/second-factor", "/sign-in"]


def operators(server) -> list[str]:
    return [f"/operator{end}" for end in ("", "/new", "/providers", "/providers/new", "/models", "/models/new", f"/{server.org}/balance", f"/{server.org}/suspend")]


def post(person, page: Page, form: Form, name: str, text: str) -> Page:
    fields = [(known, text if known == name else value) for known, value in form.fields]
    # An empty field beside it would be the only mistake that is told.
    fields = [(known, "9999" if value == "" and known.endswith("][value]") else value) for known, value in fields]
    data = urllib.parse.urlencode(fields).encode()
    url = urllib.parse.urljoin(person.base, form.action)
    return person._ask(urllib.request.Request(url, data, {"Origin": person.base, "Referer": page.url}))


def fields_of(person, addresses: list[str]):
    """Every field of every form that these pages offer, each form as it is drawn now."""
    seen = set()
    for address in addresses:
        page = person.get(address)
        for form in page.forms:
            for name in dict.fromkeys(name for name, _ in form.fields):
                # The others are filters of lists, which are addresses.
                is_action = form.action.startswith("/api/") and not form.action.endswith(("sign-out", "theme"))
                if not is_action or (form.action, name) in seen or name.endswith(OTHERS):
                    continue
                seen.add((form.action, name))
                yield page, form, name


def operator(server):
    server.halt()
    with sqlite3.connect(server.folder / "data" / "keydesk.sqlite") as database:
        database.execute("UPDATE people SET platform_role = 'operator'")
    server.start()
    server.person = server.sign_in()


def stored(server) -> bytes:
    folder = server.folder / "data"
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.name.startswith("keydesk.sqlite"))


def test_a_pasted_key_is_stored_by_no_field(start):
    """A key of this desk, and one of another service, in each text field of each form: the database has no trace of either, and none
    is an error of the program."""
    server = start("sqlite")
    operator(server)
    key = server.create_key("pasted")
    secrets = [key.secret, FOREIGN, f"see {key.secret}, please", f"(https://x.example/{key.secret}/y)"]
    tried = 0
    for page, form, name in fields_of(server.person, pages(server, key) + operators(server)):
        for secret in secrets:
            answer = post(server.person, page, form, name, secret)
            assert answer.status != 500, (form.action, name, answer.words()[:300])
            tried += 1
    # What a form does not offer as it is drawn, and what programs send.
    for words in (key.secret, FOREIGN):
        quoted = urllib.parse.quote(words)
        for address in (f"/{server.org}/keys?q={quoted}", f"/{server.org}/audit?key={quoted}", f"/{server.org}/members?q={quoted}", f"/support?q={quoted}"):
            server.person.get(address)
        server.chat(key, user=words)
        server.chat(key, model=words)
        quick(server.port, "GET", "/v1/key", None, 5, authorization=f"Bearer {key.secret}", **{"user-agent": f"x/{words}/y"})
    assert tried > 100, tried
    server.halt()
    found = stored(server)
    for secret in (key.secret, FOREIGN):
        for spelling in {secret, secret.lower()}:
            assert spelling.encode() not in found, f"{spelling[:8]}… is in the database"


def test_a_zero_character_is_refused_at_the_edge(start, database):
    """In each field, in addresses and in JSON: refused, on both databases alike."""
    server = start(database)
    key = server.create_key("zero")
    for page, form, name in fields_of(server.person, pages(server, key)):
        answer = post(server.person, page, form, name, "a\0b")
        assert answer.status in (400, 404, 422), (form.action, name, answer.status, answer.words()[:300])
    for address in (f"/{server.org}%00/keys", f"/{server.org}/keys?q=%00", f"/{server.org}/audit?key=a%00", f"{key.path}%00", "/sign-in?next=%00"):
        assert server.person.get(address).status == 400, address
    assert server.chat(key, "a\0b").status == 200, "what a model is asked is not stored"
    assert server.chat(key, model="demo/echo\0").status in (400, 404)
    assert not [line for line in server.errors() if "22021" in line or "0x00" in line]
