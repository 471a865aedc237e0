"""docs/examples/gateway.py: the contract of GATEWAY.md in another language, on Postgres, as a member of the gateway's role."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import psycopg
import pytest

from desk import Program, ask, free_port
from states import DOCS, VECTORS, expire, spent

EXAMPLE = DOCS / "examples" / "gateway.py"
MODEL = "example/words"
CENT = 10_000_000


def load():
    spec = importlib.util.spec_from_file_location("example_gateway", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load()


@pytest.fixture(scope="module")
def catalogue(postgres_desk, tmp_path_factory):
    """A model whose every token costs $0.0001, so that a request of ten tokens costs a tenth of a cent."""
    file = tmp_path_factory.mktemp("models") / "models.json"
    price = {"input": "100", "output": "100", "cached": "100"}
    file.write_text(json.dumps([{"id": MODEL, "provider": "Example", **price}]))
    postgres_desk.command("models", "import", str(file))


@pytest.fixture(scope="module")
def gateway(catalogue, gateway_login):
    return example.Gateway(gateway_login)


@pytest.fixture(scope="module")
def address(catalogue, gateway_login, tmp_path_factory):
    port = free_port()
    folder = tmp_path_factory.mktemp("example")
    program = Program([sys.executable, str(EXAMPLE), gateway_login, f"127.0.0.1:{port}"], folder, folder / "log")
    try:
        program.listens(port)
        yield f"http://127.0.0.1:{port}/v1/chat/completions"
        assert "Traceback" not in program.log()
    finally:
        program.stop()


def post(url, secret, words="one two three four five", **more):
    return ask(url, secret, body={"model": MODEL, "messages": [{"role": "user", "content": words}], "max_tokens": 5, **more})


def admit(gateway, key, output=5):
    return gateway.admit([key.secret], "127.0.0.1", MODEL, 5, output)


# --- the vectors


def test_it_reads_keys_as_the_vectors_say():
    for vector in VECTORS["keys"]:
        assert example.well_formed(vector["key"])
        assert example.checksum(vector["prefix"] + vector["body"]) == vector["key"][-6:]
        assert hashlib.sha256(vector["key"].encode()).hexdigest() == vector["sha256"]
    for credential in VECTORS["malformed"]:
        assert not example.well_formed(credential), credential
    for vector in VECTORS["patterns"]:
        assert example.matches(vector["pattern"], vector["model"]) is vector["matches"], vector
    for vector in VECTORS["addresses"]:
        assert example.allowed_from(vector["list"], vector["address"]) is vector["allowed"], vector


# --- over HTTP


def test_a_good_key_is_answered_and_its_spend_appears_on_the_desk(postgres_desk, address):
    key = postgres_desk.create_key("example good")
    answer = post(address, key.secret)
    assert answer.status == 200, answer
    assert answer.json["choices"][0]["message"]["content"] == "one two three four five"
    assert postgres_desk.spent_nanos(key) == CENT // 10
    assert spent(postgres_desk, key) == (1, 10)


def test_keys_that_may_not_are_refused_at_their_gate(postgres_desk, address):
    desk = postgres_desk
    made = {state: desk.create_key(f"example {state}") for state in ("disabled", "revoked", "expired")}
    desk.disable(made["disabled"])
    desk.revoke(made["revoked"])
    expire(desk, made["expired"])
    scoped = desk.create_key("example scoped", scope="listed", models=[], patterns="gpt-*")
    elsewhere = desk.create_key("example elsewhere", addresses="203.0.113.0/24")
    for secret, status, code, says in [
        (None, 401, "invalid_api_key", "No API key"),
        (VECTORS["keys"][1]["key"], 401, "invalid_api_key", "No valid active key"),
        ("sk-***", 401, "invalid_api_key", "Not a valid API key"),
        (made["disabled"].secret, 401, "invalid_api_key", "was disabled"),
        (made["revoked"].secret, 401, "invalid_api_key", "was revoked"),
        (made["expired"].secret, 401, "invalid_api_key", "has expired"),
        (scoped.secret, 403, "model_not_allowed", f"is not allowed to use the model {MODEL}"),
        (elsewhere.secret, 403, "address_not_allowed", "from the address 127.0.0.1"),
    ]:
        answer = post(address, secret)
        assert (answer.status, answer.json["error"]["code"]) == (status, code), answer
        assert says in answer.json["error"]["message"]
        assert answer.headers["x-should-retry"] == "false"
    two = ask(address, scoped.secret, headers={"x-api-key": elsewhere.secret}, body={"model": MODEL, "messages": [{"content": "a"}]})
    assert (two.status, two.json["error"]["code"]) == (400, "conflicting_credentials")


def test_sixty_at_once_on_a_budget_for_twenty_are_twenty(postgres_desk, address):
    key = postgres_desk.create_key("example crowd", month="0.02")
    together = threading.Barrier(60)

    def one(_):
        together.wait()
        return post(address, key.secret)

    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(one, range(60)))
    passed = [answer for answer in answers if answer.status == 200]
    stopped = [answer for answer in answers if answer.status == 429]
    assert (len(passed), len(stopped)) == (20, 40), [answer.body for answer in answers if answer.status not in (200, 429)]
    assert {answer.json["error"]["code"] for answer in stopped} == {"insufficient_quota"}
    assert postgres_desk.spent_nanos(key) == 2 * CENT


def test_a_key_that_was_too_fast_is_told_when_to_come_back(postgres_desk, address):
    key = postgres_desk.create_key("example fast", rpm="2")
    assert [post(address, key.secret).status for _ in range(3)] == [200, 200, 429]
    answer = post(address, key.secret)
    assert answer.json["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(answer.headers["retry-after"]) <= 59


# --- holds


def test_what_is_held_cannot_be_spent_by_others_and_comes_back_when_released(postgres_desk, gateway):
    key = postgres_desk.create_key("example holds", month="0.01")
    held = admit(gateway, key, output=95)
    with pytest.raises(example.Rejected) as refused:
        admit(gateway, key)
    assert (refused.value.status, refused.value.code) == (429, "insufficient_quota")
    assert gateway.release(held) is True
    assert gateway.release(held) is False
    assert postgres_desk.spent_nanos(key) == 0
    gateway.release(admit(gateway, key, output=95))


def test_a_request_is_counted_once_however_often_it_is_settled(postgres_desk, gateway):
    key = postgres_desk.create_key("example twice")
    admitted = admit(gateway, key)
    assert gateway.settle(admitted, 5, 5, "/v1/chat/completions") is True
    assert gateway.settle(admitted, 5, 5, "/v1/chat/completions") is False
    assert postgres_desk.spent_nanos(key) == CENT // 10


def test_what_a_dead_gateway_held_ends_by_itself_and_a_living_ones_goes_on(postgres_desk, gateway):
    key = postgres_desk.create_key("example lease", month="0.01")
    admitted = admit(gateway, key, output=95)
    # Two minutes later, as the database sees it.
    with psycopg.connect(postgres_desk.database_url) as db:
        db.execute("UPDATE reservations SET expires_at = %s WHERE request_id = %s", [example.now_ms() - 1, admitted.request])
    second = admit(gateway, key, output=95)
    with psycopg.connect(postgres_desk.database_url) as db:
        db.execute("UPDATE reservations SET expires_at = %s WHERE request_id = %s", [example.now_ms() + 500, second.request])
    gateway.renew([second.request])
    with psycopg.connect(postgres_desk.database_url) as db:
        (expires_at,) = db.execute("SELECT expires_at FROM reservations WHERE request_id = %s", [second.request]).fetchone()
    assert expires_at > example.now_ms() + 100_000
    # Late, but it was used: it is counted all the same.
    assert gateway.settle(admitted, 5, 5, "/v1/chat/completions") is True
    assert gateway.release(second) is True


def test_a_revocation_holds_for_the_next_request(postgres_desk, gateway):
    key = postgres_desk.create_key("example revocation")
    gateway.release(admit(gateway, key))
    postgres_desk.revoke(key)
    with pytest.raises(example.Rejected, match="was revoked"):
        admit(gateway, key)


def test_windows_are_those_of_the_desk(postgres_desk, gateway):
    with gateway.connect() as db:
        for zone, at, wanted in [
            # Sat 21 Nov 2026 16:00 UTC.
            ("UTC", 1_795_276_800_000, ("2026-11-01T00:00Z", "2026-11-16T00:00Z", "2026-11-21T00:00Z", "2026-11-21")),
            # 1 March 2027, 00:30 in Zurich, which is still February in UTC.
            ("Europe/Zurich", 1_803_857_400_000, ("2027-02-28T23:00Z", "2027-02-28T23:00Z", "2027-02-28T23:00Z", "2027-03-01")),
        ]:
            row = db.execute("SELECT * FROM keydesk_windows_v1(%s, %s)", [zone, at]).fetchone()
            starts = [datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%MZ") for ms in row[:3]]
            assert (*starts, row.day) == wanted, row
