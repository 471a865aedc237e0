"""A session that is over loses nothing of what was typed: it is there again after signing in, for the same person alone."""

from __future__ import annotations

import urllib.parse

from browsers import Browser
from desk import ANA

TYPED = "A team whose session was over"


def ended(server) -> Browser:
    """A browser whose session is over, with a form that was filled in before."""
    browser, other = Browser(server.base), Browser(server.base)
    assert [browser.sign_in(), other.sign_in()] == [200, 200]
    page = browser.get(f"/{server.org}/teams/new")
    browser.filled = page.form("/api/teams/create")
    assert other.send("account/end-other-sessions", {"confirm": "yes"})[0] == 200
    return browser


def sign_in_at(browser: Browser, page, email: str, password: str):
    return browser.post(page.form("/api/session/sign-in"), email=email, password=password)


def test_what_was_typed_is_there_again_after_signing_in(start, database):
    """Without script: the form leads to the sign-in, and from there back to itself, filled in, with a notice. Nothing was saved."""
    server = start(database)
    browser = ended(server)
    page = browser.post(browser.filled, name=TYPED, patterns="gpt-*")
    assert urllib.parse.urlsplit(page.url).path == "/sign-in"
    assert TYPED not in page.body
    page = sign_in_at(browser, page, ANA["email"], ANA["password"])
    assert urllib.parse.urlsplit(page.url).path == f"/{server.org}/teams/new"
    assert "nothing was saved" in page.words() and "What you typed is here again" in page.words(), page.words()[:400]
    again = page.form("/api/teams/create")
    assert {(again.name_of("name"), TYPED), (again.name_of("patterns"), "gpt-*")} <= set(again.fields)
    assert TYPED not in browser.get(f"/{server.org}/teams").words()
    saved = browser.post(again)
    assert TYPED in saved.words()


def test_nobody_else_sees_it(start):
    """Another person who signs in at the same computer comes to an empty form, also with the whole address."""
    server = start("sqlite")
    tenant = server.another("Borealis")
    browser = ended(server)
    page = browser.post(browser.filled, name=TYPED)
    address = urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query)["next"][0]
    assert "kept=" in address
    assert TYPED not in tenant.person.get(address).body
    foreign = tenant.person.get(address.replace(f"/{server.org}/", f"/{tenant.org}/"))
    assert foreign.status == 200 and TYPED not in foreign.body
    # On another page of the same person it is not shown either.
    assert browser.sign_in() == 200
    assert TYPED not in browser.get(address.replace("/teams/new", "/keys/new")).body
    assert TYPED in browser.get(address).body


def test_passwords_and_secrets_are_not_kept(start):
    """A password in the form is not in the database, sealed or not, and its field is empty afterwards."""
    server = start("sqlite")
    browser = ended(server)
    page = browser.get("/sign-in")
    status, _, headers = browser.send(
        "account/password", {"current": ANA["password"], "password": "copper lantern seven rivers"}, accept="text/html", page="/account/password"
    )
    assert status == 303
    page = browser.get(headers["location"])
    page = sign_in_at(browser, page, ANA["email"], ANA["password"])
    assert urllib.parse.urlsplit(page.url).path == "/account/password"
    assert "copper lantern" not in page.body and ANA["password"] not in page.body


def test_with_script_the_notice_leads_to_a_sign_in_in_a_new_tab(start):
    """With script the answer is 401, and every page has the notice that the script shows: with a link that keeps this tab as it is."""
    server = start("sqlite")
    browser = ended(server)
    status, words, _ = browser.send("teams/create", {"org": server.org, "team][name": TYPED}, page=f"/{server.org}/teams/new")
    assert status == 401 and '"code":"unauthenticated"' in words
    page = Browser(server.base).get("/sign-in").body
    template = page[page.index('id="unauthenticated"') :]
    link = template[: template.index("</template>")]
    assert 'href="/sign-in"' in link and 'target="_blank"' in link
