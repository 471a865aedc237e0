"""Keys in every state, made by people through the desk, and what each of them is answered."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
from google import genai

from desk import Desk, Key, ask

DOCS = Path(__file__).resolve().parents[2] / "docs"
VECTORS = json.loads((DOCS / "vectors.json").read_text())

#: Answers when an installation has no provider, and says so. A token costs $0.0001.
MODEL = "demo/echo"
WORDS = "Say it back"
#: A model of each protocol, for tests of what is listed: see `serve`.
SERVED = {"openai": "gpt-5", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
#: The route that Google's client asks, by its own choice: under v1beta before its version 3, under v1 since.
GEMINI = f"/{genai.Client(api_key='none')._api_client._http_options.api_version}/models/{{*id}}"


@dataclass(frozen=True)
class Rejection:
    """What a key in that state is answered, whatever the client."""

    state: str
    status: int
    code: str
    #: A pattern for the sentence; {hint} is the key as the desk shows it.
    says: str


REFUSALS = [
    Rejection("wrong", 401, "invalid_api_key", r"No valid active key for {base}\. Check that the key is not one of another provider"),
    Rejection("mistyped", 401, "invalid_api_key", r"typing error: its checksum does not match"),
    Rejection("masked", 401, "invalid_api_key", r"The key is masked: .* Use the whole key as it was shown when it was created\."),
    Rejection("disabled", 401, "invalid_api_key", r"The key {hint} was disabled .* UTC\. Ask its owner or an admin to enable it\."),
    Rejection("revoked", 401, "invalid_api_key", r"The key {hint} was revoked .* UTC\. Ask its owner or an admin for a new key\."),
    Rejection("expired", 401, "invalid_api_key", r"The key {hint} expired .* UTC\. Ask its owner or an admin to extend or replace it\."),
    Rejection("out of scope", 403, "model_not_allowed", r"The key {hint} is not allowed to use the model demo/echo\."),
    Rejection("elsewhere", 403, "address_not_allowed", r"The key {hint} is not allowed from the address 127\.0\.0\.1\."),
    # Which budget, whose, and when it resets.
    Rejection(
        "over budget",
        429,
        "insufficient_quota",
        r"The budget of the key {hint}, \$0\.01 per month, does not allow this request: .* It resets 1 [A-Z][a-z]{{2}} 20\d\d 00:00 \(UTC\)\.",
    ),
]
RATE_LIMITED = Rejection(
    "rate limited", 429, "rate_limit_exceeded", r"The limit of the key {hint}, 2 requests per minute, is reached: .* Try again in \d+ s\."
)


def serve(desk: Desk) -> None:
    """SERVED is served, at an address where nothing listens: it is listed, and the demonstration stays as long as nobody has answered."""
    there = [line.split("\t")[0] for line in desk.command("providers", "list").splitlines()]
    for protocol, model in SERVED.items():
        if protocol not in there:
            desk.command("providers", "add", protocol, "--protocol", protocol, "--url", "http://127.0.0.1:1", "--no-credential")
            desk.command("models", "route", model, "--to", protocol)


def pattern(rejection: Rejection, desk: Desk, key: Key | None) -> str:
    return rejection.says.format(hint=re.escape(key.hint) if key else "", base=re.escape(desk.base))


class Keyring:
    """One key for each state, created on first use. `key` is missing for a secret that was never issued."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self._made: dict[str, tuple[str, Key | None]] = {}

    def refused(self, state: str) -> tuple[str, Key | None]:
        if state not in self._made:
            self._made[state] = self._make(state)
        return self._made[state]

    def _make(self, state: str) -> tuple[str, Key | None]:
        desk = self.desk
        if state == "wrong":
            return VECTORS["keys"][1]["key"], None
        if state == "mistyped":
            secret = VECTORS["keys"][1]["key"]
            return secret[:-1] + ("0" if secret[-1] != "0" else "1"), None
        if state == "masked":
            return "sk-***", None
        if state == "out of scope":
            key = desk.create_key(state, scope="listed", models=[], patterns="gpt-*")
        elif state == "elsewhere":
            key = desk.create_key(state, addresses="203.0.113.0/24")
        elif state == "over budget":
            key = desk.create_key(state, month="0.01")
            spend_all(desk, key)
        else:
            key = desk.create_key(state)
            {"disabled": desk.disable, "revoked": desk.revoke, "expired": lambda key: expire(desk, key)}[state](key)
        return key.secret, key

    def rate_limited(self) -> Key:
        """A new key each time, because a minute passes: it may ask twice a minute and has asked twice."""
        key = self.desk.create_key("rate limited", rpm="2")
        for _ in range(2):
            answer = chat(self.desk, key)
            assert answer.status == 200, answer
        return key


def chat(desk: Desk, key: Key | str, **more):
    """One small request without a client library."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": WORDS}], "max_tokens": 16, **more}
    return ask(f"{desk.base}/v1/chat/completions", key if isinstance(key, str) else key.secret, body=body)


def spend_all(desk: Desk, key: Key):
    """Until the budget of a cent stops it: first with what anybody sends, and then with as little as there is, so that nothing
    fits any more. The first answer that says so."""
    stopped = refused_at_last(lambda: chat(desk, key))
    little = {"model": MODEL, "input": ""}
    refused_at_last(lambda: ask(f"{desk.base}/v1/embeddings", key.secret, body=little))
    return stopped


def refused_at_last(one):
    for _ in range(200):
        answer = one()
        if answer.status != 200:
            return answer
    raise AssertionError("200 requests did not use up a cent")


def expire(desk: Desk, key: Key) -> None:
    """The form's shortest expiry is today's end, so the date is set in the database, which on Postgres another program may do."""
    assert desk.database_url, "only a desk on Postgres can be written by another program"
    with psycopg.connect(desk.database_url) as connection:
        done = connection.execute("UPDATE keys SET expires_at = created_at + 1 WHERE id = %s", [key.id])
        assert done.rowcount == 1


def spent(desk: Desk, key: Key) -> tuple[int, int]:
    """Requests and tokens, as the key's page counts them."""
    found = re.search(r"total, ([\d,]+) requests?, ([\d,.]+[kKmM]?) tokens", desk.key_page(key).words())
    assert found, desk.key_page(key).words()[:800]
    return int(found[1].replace(",", "")), int(float(found[2].replace(",", "").rstrip("kKmM")))
