"""A small gateway in another language than Keydesk's own: it lets requests in, holds what they may cost and writes what they
used, all through Keydesk's Postgres database and nothing else. What it does for a request that was let in is not much: it says
the last message back. GATEWAY.md describes the views and functions that are used here.

    pip install "psycopg[binary]"
    python gateway.py postgres://gateway_1@db.example.com/keydesk 127.0.0.1:8080
"""

import hashlib
import ipaddress
import json
import os
import re
import sys
import time
import zlib
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
from psycopg.rows import namedtuple_row

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LEASE_MS = 120_000

#: What a request that was let in needs until it is settled.
Admitted = namedtuple("Admitted", "request key model started_at windows limits")


class Refused(Exception):
    def __init__(self, status, code, sentence, retry_after=None):
        super().__init__(sentence)
        self.status, self.code, self.retry_after = status, code, retry_after


def checksum(text):
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = ALPHABET[digit] + digits
    return digits


def well_formed(credential):
    form = re.fullmatch(r"sk-[a-z0-9-]{0,16}-[0-9A-Za-z]{38}", credential, re.ASCII)
    return bool(form) and checksum(credential[:-6]) == credential[-6:]


def matches(pattern, model):
    """Each * stands for any run of characters; everything else for itself."""
    return bool(re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), model, re.DOTALL))


def in_scope(kind, patterns, model):
    return kind == "every" or any(matches(pattern, model) for pattern in (patterns or "").split("\n") if pattern)


def allowed_from(addresses, address):
    """An empty list is any address. An IPv4 address inside an IPv6 one is that IPv4 address."""
    here = ipaddress.ip_address(address)
    here = getattr(here, "ipv4_mapped", None) or here
    networks = [ipaddress.ip_network(line) for line in addresses.split("\n") if line]
    return not networks or any(here in network for network in networks)


def cost(model, input_tokens, output_tokens, cached_tokens=0):
    """Nano-dollars, rounded up once. Prices are nano-dollars for a million tokens; cached tokens are part of the input."""
    millionths = (
        (input_tokens - cached_tokens) * model.input_price
        + cached_tokens * model.cached_price
        + output_tokens * model.output_price
    )
    return -(-millionths // 1_000_000)


def now_ms():
    return time.time_ns() // 1_000_000


def new_request_id(at_ms):
    """`req_` and a version 7 uuid in 32 lower-case hex digits."""
    number = (at_ms << 80) | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return f"req_{number:032x}"


class Gateway:
    """Nothing is kept between requests: what the desk answered to a person holds for every request that starts afterwards."""

    def __init__(self, database):
        self.database = database

    def connect(self):
        # A real gateway keeps a pool of these.
        return psycopg.connect(self.database, autocommit=True, row_factory=namedtuple_row)

    def authenticate(self, db, credentials, address):
        """Gates 1 to 5."""
        credentials = {credential for credential in credentials if credential is not None}
        if not credentials:
            raise Refused(401, "invalid_api_key", "No API key was sent.")
        if len(credentials) > 1:
            raise Refused(400, "conflicting_credentials", "Two different API keys were sent in one request.")
        (credential,) = credentials
        if not well_formed(credential):
            raise Refused(401, "invalid_api_key", "This is not a whole key: it is cut off, mistyped, masked or somebody else's.")
        digest = hashlib.sha256(credential.encode()).digest()
        key = db.execute("SELECT * FROM gateway_keys_v1 WHERE hash = %s", [digest]).fetchone()
        if key is None:
            raise Refused(401, "invalid_api_key", "No valid active key.")
        at, hint = now_ms(), f"sk-…{key.last_four}"
        for stopped, sentence in [
            (key.secret_expires_at is not None and key.secret_expires_at <= at, f"The secret {hint} was replaced by a rotation."),
            (key.status == "revoked", f"The key {hint} was revoked."),
            (key.status == "expired" or key.expires_at is not None and key.expires_at <= at, f"The key {hint} has expired."),
            (key.status != "active", f"The key {hint} is disabled."),
            (key.org_suspended_at is not None, "The organisation that this key belongs to is suspended."),
            (key.team_archived_at is not None, f"The team {key.team_name} that this key belongs to is archived."),
        ]:
            if stopped:
                raise Refused(401, "invalid_api_key", sentence)
        if not allowed_from(key.addresses, address):
            raise Refused(403, "address_not_allowed", f"The key {hint} may not be used from the address {address}.")
        return key

    def admit(self, credentials, address, model_id, input_tokens, max_output_tokens=None):
        """All gates. What comes back holds its part of every budget and limit until it is settled or released."""
        with self.connect() as db:
            key = self.authenticate(db, credentials, address)
            scopes = [(key.key_scope, key.key_patterns), (key.team_scope or "every", key.team_patterns), (key.org_scope, key.org_patterns)]
            if not all(in_scope(kind, patterns, model_id) for kind, patterns in scopes):
                raise Refused(403, "model_not_allowed", f"The key sk-…{key.last_four} may not use the model {model_id}.")
            model = db.execute("SELECT * FROM gateway_models_v1 WHERE id = %s", [model_id]).fetchone()
            if model is None:
                raise Refused(404, "model_not_found", f"There is no model {model_id}.")
            output_tokens = model.default_output_tokens if max_output_tokens is None else max_output_tokens
            # The input may come from the model's cache or not: what is dearer is held.
            amount = max(cost(model, input_tokens, output_tokens, cached) for cached in (0, input_tokens))
            at = now_ms()
            request = new_request_id(at)
            windows = db.execute("SELECT * FROM keydesk_windows_v1(%s, %s)", [key.org_zone, at]).fetchone()
            limits = db.execute(
                "SELECT * FROM keydesk_reserve_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    key.org_id, key.key_id, key.team_id, amount, input_tokens + output_tokens, at,
                    windows.month_start, windows.week_start, windows.day_start, request, key.secret_id, model_id, at + LEASE_MS,
                ],
            ).fetchall()
        for limit in limits:
            if not limit.fits:
                raise self.rejection(key, limit, at)
        return Admitted(request, key, model, at, windows, limits)

    def rejection(self, key, limit, at):
        """Gates 7 and 8: the first limit that does not fit. Then nothing is held."""
        whose = {"key": f"the key sk-…{key.last_four}", "team": f"the team {key.team_name}", "org": f"the organisation {key.org_name}"}
        whose = whose[limit.holder_kind]
        if limit.what in ("total", "month", "week", "day", "balance"):
            what = "balance" if limit.what == "balance" else f"budget ({limit.what})"
            left = max(limit.most - limit.used - limit.held, 0) / 1e9
            return Refused(429, "insufficient_quota", f"The {what} of {whose} has ${left:.9g} left, and this may cost ${limit.asked / 1e9:.9g}.")
        # Many clients take no notice of a minute and more.
        wait = min(max(1, -(-(limit.frees_at - at) // 1000)), 59) if limit.frees_at else 1
        sentence = f"The limit of {whose}, {limit.most} {limit.what}, is reached. Try again in {wait} s."
        return Refused(429, "rate_limit_exceeded", sentence, wait)

    def settle(self, admitted, input_tokens, output_tokens, route, address="", user_agent="", status=200, estimated=False):
        """What it came to, in the windows in which it began. Asked twice, it counts once: the second time is false."""
        key, took = admitted.key, now_ms() - admitted.started_at
        with self.connect() as db:
            return db.execute(
                "SELECT keydesk_settle_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS counted",
                [
                    admitted.request, key.org_id, key.key_id, key.secret_id, key.team_id, admitted.model.id, route, status,
                    input_tokens, output_tokens, 0, cost(admitted.model, input_tokens, output_tokens), admitted.started_at, took, None,
                    address, user_agent, int(estimated), *admitted.windows,
                ],
            ).fetchone().counted

    def release(self, admitted):
        """Of a request that was never sent on: it costs nothing."""
        with self.connect() as db:
            return db.execute("SELECT keydesk_release_v1(%s) AS released", [admitted.request]).fetchone().released

    def renew(self, requests):
        """Those still under way, every 30 seconds. What a dead gateway held ends by itself."""
        with self.connect() as db:
            db.execute("SELECT keydesk_renew_v1(%s, %s)", [json.dumps(requests), now_ms() + LEASE_MS])


def tokens_of(text):
    return max(1, len(text.split()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gateway = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            if self.path != "/v1/chat/completions":
                raise Refused(404, "not_found", "Nothing is served at this URL.")
            self.answer(200, self.complete(json.loads(body)))
        except Refused as refused:
            error = {"message": str(refused), "type": "invalid_request_error", "param": None, "code": refused.code}
            retry = {"x-should-retry": "false"} if refused.retry_after is None else {"retry-after": str(refused.retry_after)}
            self.answer(refused.status, {"error": error}, retry)

    def complete(self, asked):
        scheme, _, bearer = (self.headers.get("authorization") or "").partition(" ")
        credentials = [bearer if scheme.lower() == "bearer" else None, self.headers.get("x-api-key"), self.headers.get("x-goog-api-key")]
        text, most = asked["messages"][-1]["content"], asked.get("max_tokens")
        address = self.client_address[0]
        admitted = self.gateway.admit(credentials, address, asked["model"], tokens_of(text), most)
        try:
            said = " ".join(text.split()[: most or admitted.model.default_output_tokens])
        except BaseException:
            self.gateway.release(admitted)
            raise
        used = {"prompt_tokens": tokens_of(text), "completion_tokens": tokens_of(said)}
        self.gateway.settle(admitted, *used.values(), self.path, address, self.headers.get("user-agent") or "")
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {**used, "total_tokens": sum(used.values())}
        return {"id": admitted.request, "object": "chat.completion", "created": admitted.started_at // 1000, "model": admitted.model.id,
                "choices": [choice], "usage": usage}

    def answer(self, status, body, headers=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Nothing: a path could hold a key."""


class Server(ThreadingHTTPServer):
    #: Connections that wait to be taken; the standard library's five are few.
    request_queue_size = 128


if __name__ == "__main__":
    database, listen = sys.argv[1:]
    host, _, port = listen.rpartition(":")
    Handler.gateway = Gateway(database)
    Server((host, int(port)), Handler).serve_forever()
