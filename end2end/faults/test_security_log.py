"""The security log: who tried what from where, how it ended, in which request; and nothing that was typed."""

from __future__ import annotations

import json

from browsers import PROXIED, Browser
from desk import ANA

TYPED = "walrus ledger quartz 8231"


def lines(server, mark: int) -> list[dict]:
    found = [json.loads(line) for line in server.log(mark).splitlines() if line.startswith("{")]
    return [line["fields"] | {"level": line["level"]} for line in found if line.get("target") == "security"]


def test_sign_ins_and_refusals_are_in_the_log_without_secrets(start):
    """Each failed and successful sign-in, changed password and refused act is a line on the target `security`."""
    server = start("sqlite", extra=PROXIED)
    owner = Browser(server.base, "198.51.100.7")
    mark = server.mark()
    # A password typed into the field for the address.
    assert owner.sign_in(TYPED, "another " + TYPED) == 422
    assert owner.sign_in(f"{TYPED}@secret.example".replace(" ", "."), TYPED) == 422
    assert owner.sign_in(ANA["email"], TYPED) == 422
    assert owner.sign_in() == 200
    owner.send("account/password", {"current": TYPED, "password": "copper lantern seven rivers"})
    assert owner.send("account/password", {"current": ANA["password"], "password": "copper lantern seven rivers"})[0] == 200
    assert owner.send("keys/search", {"org": "not-mine", "q": "x"})[0] == 404
    owner.get("/not-mine/keys")
    assert owner.send("session/sign-out", {"confirm": "yes"})[0] == 200

    found = lines(server, mark)
    told = [(line["what"], line["outcome"], line.get("why", "")) for line in found]
    assert told[:4] == [
        ("sign-in", "refused", "wrong password"),
        ("sign-in", "refused", "wrong password"),
        ("sign-in", "refused", "wrong password"),
        ("sign-in", "done", ""),
    ], told
    for expected in [
        ("re-authentication", "refused", "wrong password"),
        ("password.changed", "done", ""),
        ("/api/keys/search", "refused", "not theirs to see"),
        ("/not-mine/keys", "refused", "not theirs to see"),
        ("sign-out", "done", ""),
    ]:
        assert expected in told, (expected, told)
    for line in found:
        assert line["address"] == "198.51.100.7" and line["request.id"].startswith("req_"), line
    unknown, person = found[0]["account"], found[3]["account"]
    assert unknown.startswith("unknown-") and unknown != found[1]["account"]
    assert person.startswith("per") and found[2]["account"] == person
    whole = server.log(mark)
    assert TYPED not in whole and TYPED.replace(" ", ".") not in whole and ANA["password"] not in whole and ANA["email"] not in whole
