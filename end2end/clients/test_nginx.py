"""A real nginx and a real Caddy, configured with the snippets of GATEWAY.md as they stand there: in front of the gateway, and in
front of something else that asks Keydesk who may pass."""

from __future__ import annotations

import collections
import http.client
import json
import os
import re
import socket
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import serving
from desk import Program, ask, clean_environment, eventually, free_port
from states import MODEL, WORDS, Keyring, chat, spent

CONTRACT = Path(__file__).resolve().parents[2] / "GATEWAY.md"


def snippet(language: str, holds: str) -> str:
    """The one block of GATEWAY.md in that language that holds these words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", CONTRACT.read_text(), re.DOTALL | re.MULTILINE)
    found = [block for block in blocks if holds in block]
    assert len(found) == 1, f"GATEWAY.md has {len(found)} {language} snippets that hold {holds!r}"
    return found[0]


def with_addresses(text: str, real: dict[str, str]) -> str:
    """The snippet with its example addresses exchanged; every one of them must be in it."""
    for example, address in real.items():
        assert example in text, f"the snippet does not name {example}"
        text = text.replace(example, address)
    return text


class Proxies:
    """Starts them with a piece of configuration, and stops what it started."""

    def __init__(self, folder: Path):
        self.folder, self.started = folder, []

    def nginx(self, piece: str, port: int) -> str:
        """`piece` belongs into `http { … }`."""
        folder = self.folder / f"nginx-{port}"
        folder.mkdir()
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr warn;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{piece}\n}}\n"
        )
        return self._run([os.environ["KEYDESK_NGINX"], "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port)

    def caddy(self, piece: str, port: int) -> str:
        folder = self.folder / f"caddy-{port}"
        folder.mkdir()
        (folder / "Caddyfile").write_text(f"{{\nadmin off\nauto_https off\n}}\n{piece}")
        return self._run([os.environ["KEYDESK_CADDY"], "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], folder, port)

    def _run(self, argv: list[str], folder: Path, port: int) -> str:
        here = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        program = Program(argv, folder, folder / "log", clean_environment(**here))
        self.started.append(program)
        program.listens(port)
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        for program in self.started:
            program.stop()


@pytest.fixture(scope="module")
def proxies(tmp_path_factory):
    proxies = Proxies(tmp_path_factory.mktemp("proxies"))
    try:
        yield proxies
    finally:
        proxies.stop()


@pytest.fixture(scope="module")
def desk():
    """Behind a proxy that may say where a request came from."""
    with serving(extra=("--trusted-proxy", "127.0.0.1/32")) as desk:
        yield desk


@pytest.fixture(scope="module")
def keys(desk):
    return Keyring(desk)


# --- in front of the gateway


@pytest.fixture(scope="module")
def proxied(proxies, desk) -> str:
    port = free_port()
    real = {"listen 8080;": f"listen 127.0.0.1:{port};", "127.0.0.1:3000": f"127.0.0.1:{desk.port}"}
    return proxies.nginx(with_addresses(snippet("nginx", "proxy_buffering off"), real), port)


def body(**more):
    return {"model": MODEL, "messages": [{"role": "user", "content": WORDS}], **more}


def test_a_stream_comes_through_nginx_piece_by_piece(desk, proxied):
    key = desk.create_key("nginx stream")
    target = urllib.parse.urlsplit(proxied)
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=30)
    sent = json.dumps(body(stream=True)).encode()
    connection.request("POST", "/v1/chat/completions", sent, {"authorization": f"Bearer {key.secret}", "content-type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-type").split(";")[0]) == (200, "text/event-stream")
    came = []
    while piece := answer.read1(65536):
        came.append((time.monotonic(), piece))
    connection.close()
    assert came[-1][1].endswith(b"data: [DONE]\n\n")
    # The demonstration takes 5 ms from piece to piece; what is gathered on the way comes at once.
    assert len(came) >= 5 and came[-1][0] - came[0][0] > 0.02, [(round(at - came[0][0], 4), len(piece)) for at, piece in came]
    assert spent(desk, key)[0] == 1


def test_a_key_that_is_bound_to_an_address_is_asked_about_the_clients(desk, proxied):
    key = desk.create_key("nginx address", addresses="127.0.0.2")
    models = f"{proxied}/v1/models"
    assert ask(models, key.secret, source="127.0.0.2").status == 200
    refused = ask(models, key.secret, source="127.0.0.3")
    assert (refused.status, refused.json["error"]["code"]) == (403, "address_not_allowed")
    assert "from the address 127.0.0.3" in refused.json["error"]["message"]
    # Whatever a client claims.
    assert ask(models, key.secret, source="127.0.0.3", headers={"x-forwarded-for": "127.0.0.2"}).status == 403
    # And past nginx nobody is believed but nginx.
    assert ask(f"{desk.base}/v1/models", key.secret, source="127.0.0.3", headers={"x-forwarded-for": "127.0.0.2"}).status == 403


def test_people_sign_in_through_nginx(desk, proxied):
    """The same server has the desk's pages."""
    answer = ask(f"{proxied}/sign-in")
    assert answer.status == 200 and "Email" in answer.body


def test_errors_keep_their_shape_and_headers_behind_nginx(desk, keys, proxied):
    secret, key = keys.refused("over budget")
    refused = ask(f"{proxied}/v1/chat/completions", secret, body=body())
    assert (refused.status, refused.json["error"]["code"]) == (429, "insufficient_quota")
    assert refused.headers["x-should-retry"] == "false" and refused.headers["x-request-id"]
    limited = keys.rate_limited()
    assert int(ask(f"{proxied}/v1/chat/completions", limited.secret, body=body()).headers["retry-after"]) >= 1


@pytest.mark.parametrize("size", [10_000, 100_000, 8 << 20])
def test_a_refusal_is_not_lost_when_the_body_is_large(desk, keys, proxied, size):
    """nginx answers 502 when the connection behind it is reset while it still sends."""
    secret, _ = keys.refused("revoked")
    large = body(user="x" * size)
    statuses = [ask(f"{proxied}/v1/chat/completions", secret, body=large).status for _ in range(20)]
    assert statuses == [401] * 20


# --- a rejection arrives


KINDS = {
    # Gate, status, and how the request differs.
    "revoked": 401,
    "out of scope": 403,
    "no such path": 404,
    "too large": 413,
    "over budget": 429,
}
#: What is sent, and how often: a thousand requests in front of each.
SIZES = {"10 kB": (10_000, 400), "100 kB": (100_000, 300), "1 MiB": (1 << 20, 200), "8 MiB": (8 << 20, 70), "25 MiB": (25 << 20, 30)}


@pytest.fixture(scope="module")
def buffered(proxies, desk) -> str:
    """As nginx is without the two lines of GATEWAY.md about buffering."""
    port = free_port()
    piece = snippet("nginx", "proxy_buffering off")
    for line in ("proxy_buffering off;", "proxy_request_buffering off;"):
        assert line in piece
        piece = piece.replace(line, "")
    real = {"listen 8080;": f"listen 127.0.0.1:{port};", "127.0.0.1:3000": f"127.0.0.1:{desk.port}"}
    return proxies.nginx(with_addresses(piece, real), port)


@pytest.fixture(scope="module")
def behind_caddy(proxies, desk) -> str:
    port = free_port()
    real = {":8080 {": f"http://127.0.0.1:{port} {{", "127.0.0.1:3000": f"127.0.0.1:{desk.port}"}
    return proxies.caddy(with_addresses(snippet("caddyfile", "flush_interval"), real), port)


def rejected(desk, keys, kind: str, base: str, size: int) -> int:
    """The status that a client reads which sends all of its body first, as most do."""
    path, secret, sent = "/v1/chat/completions", None, None
    if kind in ("revoked", "out of scope", "over budget"):
        secret = keys.refused(kind)[0]
    elif kind == "no such path":
        path = "/v1/nothing"
    else:
        secret, sent = keys.refused("out of scope")[0], b"x" * ((32 << 20) + 1)
    sent = sent or json.dumps(body(user="x" * size)).encode()
    return ask(f"{base}{path}", secret, body=sent).status


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("front", ["direct", "proxied", "buffered", "behind_caddy"])
def test_a_rejection_arrives_in_every_one_of_a_thousand_requests(request, desk, keys, front, size):
    """A thousand of all sizes, in eight threads, in front of each: never a broken pipe and never a 502."""
    base = desk.base if front == "direct" else request.getfixturevalue(front)
    secret = keys.refused("revoked")[0]
    length, times = SIZES[size]
    sent = json.dumps(body(user="x" * length)).encode()

    def one(_) -> object:
        try:
            return ask(f"{base}/v1/chat/completions", secret, body=sent).status
        except OSError as error:
            return repr(error)

    with ThreadPoolExecutor(8) as threads:
        answers = collections.Counter(threads.map(one, range(times)))
    assert answers == {401: times}, answers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("front", ["direct", "proxied", "buffered", "behind_caddy"])
def test_each_kind_of_rejection_arrives(request, desk, keys, front, kind):
    base = desk.base if front == "direct" else request.getfixturevalue(front)
    statuses = [rejected(desk, keys, kind, base, size) for size in (10_000, 1 << 20, 8 << 20) for _ in range(3)]
    assert statuses == [KINDS[kind]] * 9


@pytest.mark.parametrize("front", ["direct", "proxied", "behind_caddy"])
def test_who_asks_whether_to_send_is_told_to_go_on_or_is_rejected(request, desk, keys, front):
    """`Expect: 100-continue`: with a good key the body is asked for and the answer follows; with a revoked one it says so."""
    base = desk.base if front == "direct" else request.getfixturevalue(front)
    target = urllib.parse.urlsplit(base)
    good = desk.create_key("expects")
    for secret, status in [(good.secret, 200), (keys.refused("revoked")[0], 401)]:
        sent = json.dumps(body(max_tokens=16, user="x" * 100_000)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {target.netloc}\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\ncontent-length: {len(sent)}\r\nexpect: 100-continue\r\n\r\n"
        with socket.create_connection((target.hostname, target.port), 20) as connection:
            connection.sendall(head.encode())
            first, is_sent = connection.recv(65_536), False
            # A proxy may say it once more for what is behind it.
            while first.startswith(b"HTTP/1.1 100 "):
                if not is_sent:
                    connection.sendall(sent)
                    is_sent = True
                first = first.split(b"\r\n\r\n", 1)[1] or connection.recv(65_536)
            # Only a rejection comes without asking for the body.
            assert is_sent or status != 200, first
            assert first.startswith(f"HTTP/1.1 {status} ".encode()), first[:200]


# --- in front of something else


class Behind(BaseHTTPRequestHandler):
    """Tells what reached it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        told = json.dumps({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}, "body": data}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def behind():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", params=["nginx", "caddyfile"])
def guarded(request, proxies, desk, behind) -> str:
    port = free_port()
    listens = {"nginx": ("listen 8081;", f"listen 127.0.0.1:{port};"), "caddyfile": (":8081 {", f"http://127.0.0.1:{port} {{")}
    example, real = listens[request.param]
    addresses = {example: real, "127.0.0.1:3000": f"127.0.0.1:{desk.port}", "127.0.0.1:9000": f"127.0.0.1:{behind}"}
    piece = with_addresses(snippet(request.param, "/gateway/forward-auth"), addresses)
    return {"nginx": proxies.nginx, "caddyfile": proxies.caddy}[request.param](piece, port)


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
def test_a_good_key_passes_and_is_named_but_not_handed_on(desk, guarded, header):
    key = desk.create_key(f"guarded {header}")
    value = f"Bearer {key.secret}" if header == "authorization" else key.secret
    answer = ask(f"{guarded}/v1/things?page=2", headers={header: value}, body={"hello": "there"})
    assert answer.status == 200, answer
    told = answer.json
    assert (told["path"], json.loads(told["body"])) == ("/v1/things?page=2", {"hello": "there"})
    assert told["headers"]["x-keydesk-key"] == key.id
    assert key.secret not in answer.body
    requests, tokens = eventually("one request on the key's page", 1, lambda: (s := spent(desk, key))[0] and s)
    assert (requests, tokens) == (1, 0)


def test_nobody_names_themselves(desk, guarded):
    key = desk.create_key("guarded name")
    answer = ask(f"{guarded}/", key.secret, headers={"x-keydesk-key": "key_of_somebody_else"})
    assert answer.json["headers"]["x-keydesk-key"] == key.id


@pytest.mark.parametrize(
    "state, status, says",
    [
        ("nothing", 401, "No API key was sent"),
        ("wrong", 401, "No valid active key"),
        ("masked", 401, "The key is masked"),
        ("disabled", 401, "was disabled"),
        ("revoked", 401, "was revoked"),
        ("elsewhere", 403, "is not allowed from the address"),
        ("over budget", 429, r"The budget of the key sk-.*, \$0\.00\d+ per month, does not allow this request: .* is spent\. It resets"),
    ],
)
def test_what_may_not_pass_does_not_reach_what_is_behind(desk, keys, guarded, state, status, says):
    secret = None if state == "nothing" else used_up(desk, keys) if state == "over budget" else keys.refused(state)[0]
    answer = ask(f"{guarded}/v1/things", secret, body={"hello": "there"})
    assert answer.status == status, answer
    assert re.search(says, answer.body), answer
    assert answer.headers["x-should-retry"] == "false"


def used_up(desk, keys) -> str:
    """To the last nano-dollar, because a request without tokens fits into whatever is left: what one costs is another's budget."""
    measured = desk.create_key("measured")
    assert chat(desk, measured).status == 200
    key = desk.create_key("used up", month=f"{desk.spent_nanos(measured) / 1e9:.9f}")
    assert chat(desk, key).status == 200
    return key.secret


def test_a_rate_limited_key_is_told_when_to_come_back(desk, guarded):
    key = desk.create_key("guarded fast", rpm="2")
    answers = [ask(f"{guarded}/v1/things", key.secret) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429], answers
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 59
    assert "2 requests per minute, is reached" in answers[-1].body


def test_a_key_of_another_address_is_refused_by_the_clients_own(desk, guarded):
    key = desk.create_key("guarded address", addresses="127.0.0.2")
    assert ask(f"{guarded}/", key.secret, source="127.0.0.2").status == 200
    assert ask(f"{guarded}/", key.secret, source="127.0.0.3").status == 403
    assert ask(f"{guarded}/", key.secret, source="127.0.0.3", headers={"x-forwarded-for": "127.0.0.2"}).status == 403

