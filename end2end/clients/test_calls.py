"""The HTTP API for other gateways, as GATEWAY.md lists it, on both databases."""

from __future__ import annotations

import re
import secrets

import pytest

from conftest import new_database, serving
from desk import ask, eventually
from states import MODEL, VECTORS, Keyring, spent

TOKEN = secrets.token_hex(32)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def desk(request):
    where = {"database_url": new_database()} if request.param == "postgres" else {}
    with serving(**where, extra=("--gateway-token", TOKEN)) as desk:
        yield desk


def call(desk, what, body, secret=None, token=TOKEN):
    return ask(f"{desk.base}/gateway/{what}", secret, headers={"x-keydesk-gateway": token}, body=body)


def authorize(desk, key, **more):
    asked = {"model": MODEL, "input_tokens": 40, "max_output_tokens": 10, "address": "203.0.113.9", "route": "/v1/chat/completions", **more}
    return call(desk, "authorize", asked, key.secret)


def test_a_request_is_authorized_renewed_and_settled_once(desk):
    key = desk.create_key("calls", month="1")
    answer = authorize(desk, key)
    assert answer.status == 200, answer
    reserved = answer.json
    assert reserved["key"] == {"id": key.id, "name": key.name}
    assert reserved["reserved"]["nanos"] == 50 * 100_000 and reserved["reserved"]["tokens"] == 50
    assert call(desk, "renew", {"request_ids": [reserved["request_id"]]}).json["lease_seconds"] == 120
    used = {"request_id": reserved["request_id"], "status": 200, "input_tokens": 30, "output_tokens": 5, "user_agent": "calls"}
    first, second = call(desk, "settle", used), call(desk, "settle", used)
    assert (first.json["counted"], second.json["counted"]) == (True, False)
    assert first.json["cost"]["nanos"] == second.json["cost"]["nanos"] == 35 * 100_000
    assert eventually("one request on the key's page", 1, lambda: (s := spent(desk, key))[0] and s) == (1, 35)
    assert desk.spent_nanos(key) == 35 * 100_000


def test_what_is_reserved_is_nobody_elses_until_it_is_released(desk):
    key = desk.create_key("calls hold", month="0.01")
    reserved = authorize(desk, key, max_output_tokens=60).json["request_id"]
    refused = authorize(desk, key)
    # It would pass without the other reservation.
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["retry-after"] == "5" and "is reserved by other requests" in refused.json["error"]["message"]
    assert call(desk, "release", {"request_id": reserved}).json["released"] is True
    assert call(desk, "release", {"request_id": reserved}).json["released"] is False
    assert authorize(desk, key).status == 200


@pytest.mark.parametrize("state", ["wrong", "disabled", "revoked", "out of scope", "elsewhere"])
def test_a_rejection_is_the_clients_own_error(desk, state):
    secret, key = Keyring(desk).refused(state)
    body = {"model": MODEL, "input_tokens": 1, "address": "198.51.100.1"}
    status = 403 if state in ("out of scope", "elsewhere") else 401
    for route, read in [
        ("/v1/chat/completions", lambda error: error["error"]["type"] == "invalid_request_error"),
        ("/v1/messages", lambda error: error["type"] == "error"),
        (f"/v1beta/models/{MODEL}:generateContent", lambda error: error["error"]["code"] == status),
    ]:
        answer = call(desk, "authorize", {**body, "route": route}, secret)
        assert answer.status == status and read(answer.json), answer


def test_nobody_asks_without_the_token(desk):
    key = desk.create_key("calls token")
    for token in ("", "x" * 64, TOKEN[:-1]):
        answer = call(desk, "authorize", {"model": MODEL}, key.secret, token)
        assert (answer.status, answer.json["error"]["code"]) == (403, "invalid_gateway_token")
    assert call(desk, "settle", {"request_id": "req_" + "0" * 32, "status": 200}).status == 404
    wrong = call(desk, "authorize", {"model": MODEL, "surprise": 1}, key.secret)
    assert (wrong.status, wrong.json["error"]["code"]) == (400, "invalid_request")


def test_a_key_is_told_about_itself(desk):
    key = desk.create_key("calls itself", month="0.01", rpm="7")
    told = ask(f"{desk.base}/v1/key", key.secret).json
    assert (told["status"], told["name"], told["hint"]) == ("active", key.name, key.hint)
    budget, requests = told["limits"]
    assert (budget["kind"], budget["holder"], budget["period"], budget["limit"]) == ("budget", "key", "month", 10_000_000)
    assert (requests["kind"], requests["limit"]) == ("requests_per_minute", 7)
    assert MODEL in told["models"] and told["spent"]["total_nanos"] == 0
    desk.disable(key)
    told = ask(f"{desk.base}/v1/key", key.secret).json
    assert told["status"] == "disabled" and re.search(r"was disabled", told["message"]) and told["contacts"] == ["Ana Ruiz"]
    desk.revoke(key)
    told = ask(f"{desk.base}/v1/key", key.secret).json
    assert told["status"] == "revoked" and "name" not in told and "spent" not in told
    assert ask(f"{desk.base}/v1/key", VECTORS["keys"][1]["key"]).status == 401
