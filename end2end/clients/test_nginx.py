"""A real nginx, configured with the snippets of GATEWAY.md as they stand there: in front of the gateway, and in front of something
else that asks Keydesk who may pass."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from desk import Desk, Program, ask, clean_environment, eventually, free_port
from states import MODEL, VECTORS, WORDS, Keyring, chat, spent

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


@pytest.fixture
def nginx(tmp_path):
    """Starts nginx with a piece of configuration that belongs into `http { … }`; the programs are stopped at the end."""
    started = []

    def start(piece: str, port: int) -> str:
        folder = tmp_path / f"nginx-{port}"
        folder.mkdir()
        file = folder / "nginx.conf"
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        file.write_text(
            f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr warn;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{piece}\n}}\n"
        )
        program = Program([os.environ["KEYDESK_NGINX"], "-p", str(folder), "-c", str(file)], folder, folder / "log", clean_environment())
        started.append(program)
        program.listens(port)
        return f"http://127.0.0.1:{port}"

    yield start
    for program in started:
        program.stop()


@pytest.fixture(scope="module")
def desk():
    """Behind a proxy that may say where a request came from."""
    desk = Desk(extra=("--trusted-proxy", "127.0.0.1/32"))
    try:
        yield desk
        assert desk.errors() == []
    finally:
        desk.stop()


@pytest.fixture(scope="module")
def keys(desk):
    return Keyring(desk)


# --- in front of the gateway


@pytest.fixture
def proxied(nginx, desk) -> str:
    port = free_port()
    real = {"listen 8080;": f"listen 127.0.0.1:{port};", "127.0.0.1:3000": f"127.0.0.1:{desk.port}"}
    return nginx(with_addresses(snippet("nginx", "proxy_buffering off"), real), port)


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
    assert answer.status == 200 and "E-mail" in answer.body


def test_errors_keep_their_shape_and_headers_behind_nginx(desk, keys, proxied):
    secret, key = keys.refused("over budget")
    refused = ask(f"{proxied}/v1/chat/completions", secret, body=body())
    assert (refused.status, refused.json["error"]["code"]) == (429, "insufficient_quota")
    assert refused.headers["x-should-retry"] == "false" and refused.headers["x-request-id"]
    limited = keys.rate_limited()
    assert int(ask(f"{proxied}/v1/chat/completions", limited.secret, body=body()).headers["retry-after"]) >= 1
