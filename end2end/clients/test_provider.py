"""With a provider connected: what OpenAI's client sends goes there and comes back, and the snippets of a new key ask a model that is
served."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from conftest import serving
from desk import ask, eventually
from states import MODEL, spent
from test_snippets import HERE, run

CREDENTIAL = "sk-provider-0123456789"
WORDS = ["Good ", "morning ", "to ", "you."]
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, "prompt_tokens_details": {"cached_tokens": 400}}


class Provider(BaseHTTPRequestHandler):
    """Speaks OpenAI's protocol, for chats alone, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[dict[str, str], dict]] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.answer(body)

    def answer(self, body: dict) -> None:
        assert self.path == "/v1/chat/completions" and self.headers["authorization"] == f"Bearer {CREDENTIAL}"
        self.chat(body, "".join(WORDS), USAGE)

    def chat(self, body: dict, text: str, usage: dict) -> None:
        about = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self.say("application/json", json.dumps({**about, "object": "chat.completion", "choices": [choice], "usage": usage}))
        chunks = [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in parts(text)]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if body.get("stream_options", {}).get("include_usage"):
            chunks.append({"choices": [], "usage": usage})
        events = [json.dumps({**about, "object": "chat.completion.chunk", **chunk}) for chunk in chunks] + ["[DONE]"]
        self.say("text/event-stream", "".join(f"data: {event}\n\n" for event in events))

    def say(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def parts(text: str) -> list[str]:
    """As a stream has them: words, each with the blank that follows."""
    return re.findall(r"\S+\s*", text)


@contextlib.contextmanager
def listening(handler: type[BaseHTTPRequestHandler]):
    """The address of a server of its own for these requests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def provider():
    with listening(Provider) as url:
        yield url


@pytest.fixture(scope="module")
def desk(provider):
    with serving(environment={"SOMEBODY_API_KEY": CREDENTIAL}) as desk:
        desk.command("providers", "add", "Somebody", "--url", provider, "--credential-env", "SOMEBODY_API_KEY")
        desk.command("models", "route", "gpt-5", "gpt-5-mini", "--to", "Somebody")
        yield desk


def price(desk, model: str) -> int:
    """What the provider's usage costs, in nano-dollars."""
    (listed,) = [one for one in json.loads(desk.command("models", "list")) if one["id"] == model]
    nanos = {what: round(float(listed["price"][what]) * 1e9) for what in ("input", "output", "cached_input")}
    millionths = 600 * nanos["input"] + 400 * nanos["cached_input"] + 200 * nanos["output"]
    return -(-millionths // 1_000_000)


@pytest.mark.parametrize("options", [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}], ids=["whole", "stream", "usage"])
def test_a_request_goes_to_the_provider_and_its_true_cost_appears(desk, options):
    key = desk.create_key("provider")
    client = openai.OpenAI(base_url=f"{desk.base}/v1", api_key=key.secret)
    answer = client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Good morning"}], **options)
    if options:
        chunks = list(answer)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        # Who did not ask for usage does not see that the gateway did.
        assert [bool(chunk.usage) for chunk in chunks if not chunk.choices] == ([True] if "stream_options" in options else [])
    else:
        text = answer.choices[0].message.content
    assert text == "".join(WORDS)
    headers, body = Provider.asked[-1]
    assert body["model"] == "gpt-5-mini"
    assert key.secret not in json.dumps([headers, body])
    eventually("one request on the key's page", 1, lambda: spent(desk, key)[0] == 1)
    assert desk.spent_nanos(key) == price(desk, "gpt-5-mini")


def test_the_snippets_ask_the_cheapest_model_that_is_served(desk, tmp_path):
    key = desk.create_key_by_name("provider snippets")
    snippets = desk.snippets(key)
    assert all('"gpt-5-mini"' in snippets[label] for label in ("curl", "Python OpenAI", "Node OpenAI"))
    assert "\nMODEL=gpt-5-mini" in snippets[".env"]
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    for label, argv, file in [("curl", "bash", "ask.sh"), ("Python OpenAI", sys.executable, "ask.py"), ("Node OpenAI", "node", "ask.mjs")]:
        (tmp_path / file).write_text(snippets[label] + "\n")
        assert "".join(WORDS) in run([argv, file], tmp_path)
    # Nothing speaks the others' protocols here.
    assert list(snippets) == ["curl", "Python OpenAI", "Node OpenAI", ".env", "Python stream", "Codex", "Cursor", "Open WebUI"]


def test_the_demonstration_has_left(desk):
    key = desk.create_key("provider demonstration")
    models = [model["id"] for model in ask(f"{desk.base}/v1/models", key.secret).json["data"]]
    assert sorted(models) == ["gpt-5", "gpt-5-mini"]
    refused = ask(f"{desk.base}/v1/chat/completions", key.secret, body={"model": MODEL, "messages": []})
    assert (refused.status, refused.json["error"]["code"]) == (404, "model_not_found")
    assert MODEL not in desk.person.get(f"/{desk.org}/keys/new").body
