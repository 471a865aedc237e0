"""Cookies that carry something to the next page open for the session that they were made in, and a foreign one hides nothing."""

from __future__ import annotations

import http.cookies

from browsers import Browser
from desk import ANA


def new_key(server, browser: Browser, name: str) -> tuple[str, str]:
    """Where its secret is shown, and the cookie that carries it there as `name=value`."""
    form = browser.get(f"/{server.org}/keys/new").form("/api/keys/create")
    modes = {f"[{limit}][mode": "none" for limit in ("month", "week", "day", "total", "rpm", "tpm", "concurrent")}
    fields = dict(form.fill(name=name, scope="every", **{key.strip("["): value for key, value in modes.items()}))
    bare = {key.removeprefix("form[").removesuffix("]"): value for key, value in fields.items() if key.startswith("form[")}
    status, words, headers = browser.send("keys/create", bare)
    assert status == 200, words
    for line in headers.get_all("set-cookie"):
        if "keydesk-issued" in line.split("=")[0]:
            return headers["location"], line.split(";")[0]
    raise AssertionError(f"no secret was handed over: {headers}")


def test_a_new_secret_opens_in_the_session_that_made_it_alone(start):
    """The cookie with a new key's secret, copied into another session of an owner within two minutes, shows nothing."""
    server = start("sqlite")
    first, second = Browser(server.base), Browser(server.base)
    assert [first.sign_in(), second.sign_in()] == [200, 200]
    page, cookie = new_key(server, first, "bound")
    assert "sk-…" in second.look(page, f"{second.cookie_header()}; {cookie}").body
    assert "secret" not in second.look(page, f"{second.cookie_header()}; {cookie}").by_id
    assert first.look(page, first.cookie_header()).by_id["secret"].startswith("sk-")


def test_a_foreign_cookie_of_the_same_name_does_not_hide_a_secret(start):
    """Another host of the domain sets a cookie of the same name for everything: the secret is shown all the same, once."""
    server = start("sqlite")
    browser, thief = Browser(server.base), Browser(server.base)
    assert [browser.sign_in(), thief.sign_in()] == [200, 200]
    _, theirs = new_key(server, thief, "theirs")
    page, cookie = new_key(server, browser, "hidden")
    name = cookie.split("=")[0]
    session = "; ".join(part for part in browser.cookie_header().split("; ") if "issued" not in part)
    for foreign in ("x", "", theirs.split("=", 1)[1]):
        for pairs in (f"{name}={foreign}; {cookie}", f"{cookie}; {name}={foreign}"):
            shown = browser.look(page, f"{session}; {pairs}")
            assert shown.by_id.get("secret", "").startswith("sk-"), pairs
    # A foreign one alone shows nothing, and takes nothing away.
    assert "secret" not in browser.look(page, f"{session}; {name}=x").by_id


def test_over_https_every_cookie_is_the_hosts_own(start):
    """Behind https, other hosts of the domain cannot set any cookie of the program: each has the prefix that browsers guard."""
    server = start("sqlite")
    base = "https://keys.example.com"
    server.restart(extra=("--base-url", base))
    browser = Browser(server.base)

    def cookies(headers) -> list[str]:
        return headers.get_all("set-cookie") or []

    status, _, headers = browser.send("session/sign-in", {"email": ANA["email"], "password": ANA["password"]})
    assert status == 200
    sent = cookies(headers)
    jar = "; ".join(line.split(";")[0] for line in sent)
    status, words, headers = browser.send("session/sign-out", {"confirm": "yes"}, cookies=jar)
    assert status == 200, words
    sent += cookies(headers)
    assert len(sent) >= 4, sent
    for line in sent:
        name = line.split("=")[0]
        attributes = [part.strip().lower() for part in line.split(";")[1:]]
        assert name.startswith("__Host-"), line
        assert "secure" in attributes and "path=/" in attributes and "httponly" in attributes, line
        assert not any(part.startswith("domain") for part in attributes), line
    assert http.cookies.SimpleCookie(sent[0])
