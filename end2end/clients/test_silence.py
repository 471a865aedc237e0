"""A provider that is silent before its head and in the middle of its stream: the official clients skip what the gateway sends
meanwhile, and read the whole answer."""

from __future__ import annotations

import json
import time

import anthropic
import openai
import pytest
from google import genai

from conftest import serving
from test_provider import Provider, listening

#: Longer than a head may take, and than the time between two signs of life.
BEFORE, BETWEEN = 7, 17
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}


def named(event: dict) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def chat(delta: dict, finish=None) -> str:
    return f"data: {json.dumps({'id': 'c', 'created': 1, 'model': 'm', 'object': 'chat.completion.chunk', 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n"


def generated(text: str, **more) -> str:
    return f"data: {json.dumps({'candidates': [{'content': {'role': 'model', 'parts': [{'text': text}]}, **more}], 'usageMetadata': {'promptTokenCount': 10, 'candidatesTokenCount': 2}})}\n\n"


MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
#: What comes before the silence in the middle, and after it.
STREAMS = {
    "openai": (chat({"content": "Good "}), chat({"content": "morning"}) + chat({}, "stop") + f"data: {json.dumps({'id': 'c', 'created': 1, 'model': 'm', 'object': 'chat.completion.chunk', 'choices': [], 'usage': USAGE})}\n\ndata: [DONE]\n\n"),
    "anthropic": (
        named({"type": "message_start", "message": MESSAGE})
        + named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        + named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Good "}}),
        named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "morning"}})
        + named({"type": "content_block_stop", "index": 0})
        + named({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}})
        + named({"type": "message_stop"}),
    ),
    "gemini": (generated("Good "), generated("morning", finishReason="STOP")),
}


class Silent(Provider):
    """Speaks three protocols, slowly."""

    def answer(self, body: dict) -> None:
        kind = "anthropic" if self.path.startswith("/v1/messages") else "openai" if "chat" in self.path else "gemini"
        time.sleep(BEFORE)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for number, part in enumerate(STREAMS[kind]):
            time.sleep(BETWEEN * number)
            self.wfile.write(part.encode())
        self.close_connection = True


@pytest.fixture(scope="module")
def desk():
    with listening(Silent) as url, serving() as desk:
        for kind, model in MODELS.items():
            desk.command("providers", "add", kind, "--protocol", kind, "--url", url, "--no-credential")
            desk.command("models", "route", model, "--to", kind)
        yield desk


def of_openai(base: str, key: str) -> str:
    # As if a proxy in between gave up after 16 seconds.
    client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, timeout=16, max_retries=0)
    chunks = client.chat.completions.create(model=MODELS["openai"], messages=[{"role": "user", "content": "Hi"}], stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def of_anthropic(base: str, key: str) -> str:
    client = anthropic.Anthropic(base_url=base, api_key=key, timeout=16, max_retries=0)
    with client.messages.stream(model=MODELS["anthropic"], max_tokens=20, messages=[{"role": "user", "content": "Hi"}]) as stream:
        return "".join(stream.text_stream)


def of_google(base: str, key: str) -> str:
    with genai.Client(api_key=key, http_options={"base_url": base, "timeout": 16_000}) as client:
        return "".join(chunk.text or "" for chunk in client.models.generate_content_stream(model=MODELS["gemini"], contents="Hi"))


@pytest.mark.parametrize("client", [of_openai, of_anthropic, of_google])
def test_the_official_clients_wait_for_a_silent_provider(desk, client):
    key = desk.create_key("silent")
    mark = desk.mark()
    assert client(desk.base, key.secret) == "Good morning"
    # Each asked once.
    assert [status for _, _, status in desk.answered(mark)] == [200]
