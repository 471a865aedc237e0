"""Browsers as tests of signing in need them: from any address, with their cookies in view, and with the codes of a second factor."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.cookiejar
import struct
import time
import urllib.error
import urllib.parse
import urllib.request

from desk import ANA, Page, Person

#: The program believes X-Forwarded-For from here.
PROXIED = ("--trusted-proxy", "127.0.0.1/32")


class Browser(Person):
    """A person whose browser comes from `address`, as a proxy that is trusted says."""

    def __init__(self, base: str, address: str = ""):
        super().__init__(base)
        self.address = address
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar))

    def _ask(self, request: urllib.request.Request) -> Page:
        if self.address:
            request.add_header("X-Forwarded-For", self.address)
        return super()._ask(request)

    def send(self, action: str, fields: dict[str, str], *, accept: str = "application/json", page: str = "", cookies: str | None = None) -> tuple[int, str, object]:
        """Posts an action as a script does: status, words, headers. Nothing is followed."""
        values = {f"form[{name}]": value for name, value in fields.items()} | ({"page": page} if page else {})
        request = urllib.request.Request(f"{self.base}/api/{action}", urllib.parse.urlencode(values).encode())
        for name, value in {"Origin": self.base, "Accept": accept, "X-Forwarded-For": self.address, "Cookie": cookies}.items():
            if value:
                request.add_header(name, value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Unled(), *self._jar(cookies))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers

    def _jar(self, cookies: str | None):
        return [] if cookies is not None else [urllib.request.HTTPCookieProcessor(self.jar)]

    def sign_in(self, email: str = ANA["email"], password: str = ANA["password"]) -> int:
        """The status of the answer; 200 is in, or on to the code."""
        return self.send("session/sign-in", {"email": email, "password": password})[0]

    def cookie_header(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)

    def look(self, path: str, cookies: str) -> Page:
        """A page, asked for with these cookies alone."""
        request = urllib.request.Request(self.base + path, headers={"Accept": "text/html", "Cookie": cookies})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return Page(answer.url, answer.status, answer.read().decode())


class Unled(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def totp(secret: str, at: float | None = None) -> str:
    """RFC 6238, as an authenticator app shows it."""
    key = base64.b32decode(secret.replace(" ", "").upper() + "=" * (-len(secret.replace(" ", "")) % 8))
    mac = hmac.new(key, struct.pack(">Q", int((time.time() if at is None else at) // 30)), hashlib.sha1).digest()
    offset = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def wrong_code(secret: str) -> str:
    """None of the codes that work now."""
    return f"{(int(totp(secret)) + 500_001) % 1_000_000:06d}"


def turn_on_second_factor(browser: Browser) -> tuple[str, list[str]]:
    """The secret and the recovery codes of the person."""
    page = browser.post(browser.get("/account/second-factor").form("/api/second-factor/start"), password=ANA["password"])
    secret = page.by_id["secret"]
    page = browser.post(page.form("/api/second-factor/turn-on"), **{"form[code]": totp(secret)})
    return secret, page.by_id["codes"].split()
