"""A small gateway in Python: it checks requests, reserves what they may cost and writes what they used, with Keydesk's Postgres
database and nothing else. In place of a model it repeats the last message. GATEWAY.md describes the views and functions.

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
#: The limits that count dollars.
MONEY = ("total", "month", "week", "day", "balance")

#: An reservation request, until it is settled.
Reservation = namedtuple("Reservation", "request key model started_at windows limits")


class Rejected(Exception):
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
    """Each * matches any run of characters."""
    return bool(re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), model, re.DOTALL))


def in_scope(kind, patterns, model):
    return kind == "every" or any(matches(pattern, model) for pattern in (patterns or "").split("\n") if pattern)


def allowed_from(addresses, address):
    """An empty list allows any address. An IPv4-mapped IPv6 address counts as IPv4."""
    here = ipaddress.ip_address(address)
    here = getattr(here, "ipv4_mapped", None) or here
    networks = [ipaddress.ip_network(line) for line in addresses.split("\n") if line]
    return not networks or any(here in network for network in networks)


def cost(model, input_tokens, output_tokens, cached_tokens=0):
    """Nano-dollars, rounded up once. Prices are nano-dollars for a million tokens; cached tokens are part of the input.

    These are the list prices. Whoever uses long inputs, service tiers or other meters reads the tariff in gateway_prices_v1.
    """
    if model.input_price is None:
        return 0
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
    """It caches nothing, so every change in Keydesk applies to all requests that start after it."""

    def __init__(self, database):
        self.database = database

    def connect(self):
        # A real gateway has a connection pool.
        return psycopg.connect(self.database, autocommit=True, row_factory=namedtuple_row)

    def authenticate(self, db, credentials, address):
        """Gates 1 to 5."""
        credentials = {credential for credential in credentials if credential is not None}
        if not credentials:
            raise Rejected(401, "invalid_api_key", "No API key was sent.")
        if len(credentials) > 1:
            raise Rejected(400, "conflicting_credentials", "Two different API keys were sent in one request.")
        (credential,) = credentials
        if not well_formed(credential):
            raise Rejected(401, "invalid_api_key", "Not a valid API key: it is cut off, mistyped, masked or another provider's.")
        digest = hashlib.sha256(credential.encode()).digest()
        key = db.execute("SELECT * FROM gateway_keys_v1 WHERE hash = %s", [digest]).fetchone()
        if key is None:
            raise Rejected(401, "invalid_api_key", "No valid active key.")
        at, hint = now_ms(), f"sk-…{key.last_four}"
        for fails, sentence in [
            (key.secret_expires_at is not None and key.secret_expires_at <= at, f"The secret {hint} was replaced by a rotation."),
            (key.status == "revoked", f"The key {hint} was revoked."),
            (key.status == "expired" or key.expires_at is not None and key.expires_at <= at, f"The key {hint} has expired."),
            (key.status != "active", f"The key {hint} was disabled. Ask its owner or an admin to enable it."),
            (key.org_suspended_at is not None, "The organisation of this key is suspended. Ask your administrator."),
            (key.team_archived_at is not None, f"The team {key.team_name} of this key is archived. Ask an admin to move the key to another team."),
        ]:
            if fails:
                raise Rejected(401, "invalid_api_key", sentence)
        if not allowed_from(key.addresses, address):
            raise Rejected(403, "address_not_allowed", f"The key {hint} is not allowed from the address {address}.")
        return key

    def admit(self, credentials, address, model_id, input_tokens, max_output_tokens=None):
        """All gates. The reservation counts against every budget and limit until it is settled or released."""
        with self.connect() as db:
            key = self.authenticate(db, credentials, address)
            scopes = [(key.key_scope, key.key_patterns), (key.team_scope or "every", key.team_patterns), (key.org_scope, key.org_patterns)]
            if not all(in_scope(kind, patterns, model_id) for kind, patterns in scopes):
                raise Rejected(403, "model_not_allowed", f"The key sk-…{key.last_four} is not allowed to use the model {model_id}.")
            model = db.execute("SELECT * FROM gateway_models_v1 WHERE id = %s", [model_id]).fetchone()
            if model is None:
                raise Rejected(404, "model_not_found", f"There is no model {model_id}.")
            output_tokens = model.default_output_tokens if max_output_tokens is None else max_output_tokens
            # The input may be cached or not, so the higher price is reserved.
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
            if model.input_price is None and all(limit.fits for limit in limits) and any(limit.what in MONEY for limit in limits):
                db.execute("SELECT keydesk_release_v1(%s)", [request])
                raise Rejected(403, "model_not_priced", f"The model {model_id} has no price, and a budget counts what requests cost.")
        for limit in limits:
            if not limit.fits:
                raise self.rejection(key, limit, at)
        return Reservation(request, key, model, at, windows, limits)

    def rejection(self, key, limit, at):
        """Gates 7 and 8: the first limit that does not fit. Nothing is reserved."""
        whose = {"key": f"the key sk-…{key.last_four}", "team": f"the team {key.team_name}", "org": f"the organisation {key.org_name}"}
        whose = whose[limit.holder_kind]
        if limit.what in MONEY:
            what = "balance" if limit.what == "balance" else f"budget ({limit.what})"
            left = limit.remaining / 1e9
            return Rejected(429, "insufficient_quota", f"The {what} of {whose} has ${left:.9g} left, and this request may cost ${limit.requested / 1e9:.9g}.")
        # Many clients ignore a minute or more.
        wait = min(max(1, -(-(limit.frees_at - at) // 1000)), 59) if limit.frees_at else 1
        sentence = f"The limit of {whose}, {limit.limit} {limit.what}, is reached. Try again in {wait} s."
        return Rejected(429, "rate_limit_exceeded", sentence, wait)

    def settle(self, reservation, input_tokens, output_tokens, route, address="", user_agent="", status=200, estimated=False):
        """Writes what a request used, in the windows in which it started. False when it was settled before."""
        key, took = reservation.key, now_ms() - reservation.started_at
        with self.connect() as db:
            return db.execute(
                "SELECT keydesk_settle_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS counted",
                [
                    reservation.request, key.org_id, key.key_id, key.secret_id, key.team_id, reservation.model.id, route, status,
                    input_tokens, output_tokens, 0, cost(reservation.model, input_tokens, output_tokens), reservation.started_at, took, None,
                    address, user_agent, int(estimated), *reservation.windows,
                ],
            ).fetchone().counted

    def release(self, reservation):
        """For a request that was never sent: it costs nothing."""
        with self.connect() as db:
            return db.execute("SELECT keydesk_release_v1(%s) AS released", [reservation.request]).fetchone().released

    def renew(self, requests):
        """Call it every 30 seconds for requests in flight. The reservations of a crashed gateway expire."""
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
                raise Rejected(404, "not_found", "Unknown URL.")
            self.answer(200, self.complete(json.loads(body)))
        except Rejected as rejection:
            error = {"message": str(rejection), "type": "invalid_request_error", "param": None, "code": rejection.code}
            retry = {"x-should-retry": "false"} if rejection.retry_after is None else {"retry-after": str(rejection.retry_after)}
            self.answer(rejection.status, {"error": error}, retry)

    def complete(self, request):
        scheme, _, bearer = (self.headers.get("authorization") or "").partition(" ")
        credentials = [bearer if scheme.lower() == "bearer" else None, self.headers.get("x-api-key"), self.headers.get("x-goog-api-key")]
        text, maximum = request["messages"][-1]["content"], request.get("max_tokens")
        address = self.client_address[0]
        reservation = self.gateway.admit(credentials, address, request["model"], tokens_of(text), maximum)
        try:
            said = " ".join(text.split()[: maximum or reservation.model.default_output_tokens])
        except BaseException:
            self.gateway.release(reservation)
            raise
        used = {"prompt_tokens": tokens_of(text), "completion_tokens": tokens_of(said)}
        self.gateway.settle(reservation, *used.values(), self.path, address, self.headers.get("user-agent") or "")
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {**used, "total_tokens": sum(used.values())}
        return {"id": reservation.request, "object": "chat.completion", "created": reservation.started_at // 1000, "model": reservation.model.id,
                "choices": [choice], "usage": usage}

    def answer(self, status, body, headers=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Logs nothing, because a path can contain a key."""


class Server(ThreadingHTTPServer):
    #: The length of the accept queue; the default of five is short.
    request_queue_size = 128


if __name__ == "__main__":
    database, listen = sys.argv[1:]
    host, _, port = listen.rpartition(":")
    Handler.gateway = Gateway(database)
    Server((host, int(port)), Handler).serve_forever()
