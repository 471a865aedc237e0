"""Streams that the official clients leave: after each of their events the provider is read to its end, and what it charges is what is
recorded."""

from __future__ import annotations

import json
import time

import anthropic
import openai
import pytest
from google import genai

from conftest import new_database, serving
from desk import Desk, ask, eventually
from metered_provider import MeteredProvider, parts
from test_provider import CREDENTIAL, listening

OPENAI, ANTHROPIC, GEMINI = "gpt-6-sol", "claude-sonnet-5-5", "gemini-2.5-flash"
HELLO = [{"role": "user", "content": "Say hello."}]
#: Nano-dollars for a token of Gemini's: input and output, from the provider's page.
GEMINI_PRICES = (300, 2_500)


class SlowProvider(MeteredProvider):
    """Sends a stream event by event, so that a client can leave in the middle of it; and speaks Google's protocol too."""

    #: What the answers of Gemini's models cost.
    googles: list[int] = []
    #: Streams that were sent to their end.
    ended: list[str] = []

    def answer(self, body: dict) -> None:
        if not self.path.startswith("/v1beta/"):
            return super().answer(body)
        assert self.headers["x-goog-api-key"] == CREDENTIAL and ":streamGenerateContent" in self.path
        count = {"promptTokenCount": 100, "candidatesTokenCount": 40, "totalTokenCount": 140}
        self.googles.append(sum(tokens * price for tokens, price in zip((100, 40), GEMINI_PRICES)))
        words = parts("Good morning to you.")
        chunks = [{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": word}]}}]} for word in words]
        chunks[-1]["candidates"][0]["finishReason"] = "STOP"
        chunks[-1]["usageMetadata"] = count
        self.say("text/event-stream", "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks))

    def say(self, kind: str, text: str) -> None:
        if kind != "text/event-stream":
            return super().say(kind, text)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("connection", "close")
        self.end_headers()
        gap = "\r\n\r\n" if "\r\n\r\n" in text else "\n\n"
        for event in text.removesuffix(gap).split(gap):
            self.wfile.write((event + gap).encode())
            self.wfile.flush()
            time.sleep(0.02)
        self.ended.append(self.path)

    @classmethod
    def charged(cls) -> int:
        return super().charged() + sum(cls.googles)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def desk(request):
    where = {"database_url": new_database()} if request.param == "postgres" else {}
    with listening(SlowProvider) as url, serving(environment={"SOMEBODY_API_KEY": CREDENTIAL}, **where) as desk:
        for name, protocol, model in [("Open", "openai", OPENAI), ("Anthropic", "anthropic", ANTHROPIC), ("Google", "gemini", GEMINI)]:
            desk.command("providers", "add", name, "--protocol", protocol, "--url", url, "--credential-env", "SOMEBODY_API_KEY")
            desk.command("models", "route", model, "--to", name)
        yield desk


def chat(desk: Desk, secret: str, usage: bool = True):
    with openai.OpenAI(base_url=f"{desk.base}/v1", api_key=secret, max_retries=0) as client:
        more = {"stream_options": {"include_usage": True}} if usage else {}
        with client.chat.completions.create(model=OPENAI, messages=HELLO, stream=True, **more) as stream:
            yield from stream


def chat_without_usage(desk: Desk, secret: str):
    yield from chat(desk, secret, usage=False)


def responses(desk: Desk, secret: str):
    with openai.OpenAI(base_url=f"{desk.base}/v1", api_key=secret, max_retries=0) as client:
        with client.responses.create(model=OPENAI, input="Say hello.", stream=True) as stream:
            yield from stream


def messages(desk: Desk, secret: str):
    with anthropic.Anthropic(base_url=desk.base, api_key=secret, max_retries=0) as client:
        with client.messages.create(model=ANTHROPIC, max_tokens=100, messages=HELLO, stream=True) as stream:
            yield from stream


def content(desk: Desk, secret: str):
    with genai.Client(api_key=secret, http_options={"base_url": desk.base}) as client:
        stream = client.models.generate_content_stream(model=GEMINI, contents="Say hello.")
        try:
            yield from stream
        finally:
            stream.close()


def spend(desk: Desk, key) -> tuple[int, int]:
    """What the key has spent and what is reserved of its budget."""
    told = ask(f"{desk.base}/v1/key", key.secret).json
    return told["spent"]["total_nanos"], told["limits"][0]["reserved"]


@pytest.mark.parametrize("stream", [chat, chat_without_usage, responses, messages, content])
def test_a_stream_left_after_any_event_costs_what_its_provider_charges(desk, stream):
    SlowProvider.forget()
    SlowProvider.googles.clear()
    SlowProvider.ended.clear()
    # More than the most that all of its requests could cost.
    key = desk.create_key(stream.__name__, month="500")
    whole = list(stream(desk, key.secret))
    assert len(whole) > 3
    for left_after in range(1, len(whole) + 1):
        events = stream(desk, key.secret)
        for _ in range(left_after):
            next(events)
        events.close()
    sent = len(whole) + 1
    eventually(f"{sent} streams are read to their end", 10, lambda: len(SlowProvider.ended) == sent)
    wanted = (SlowProvider.charged(), 0)
    assert wanted[0] > 0
    eventually(f"{wanted} is recorded", 5, lambda: spend(desk, key) == wanted)
    assert "differ" not in desk.command("spend", "verify")


def test_a_left_stream_keeps_its_reservation_and_its_place_until_it_is_read(desk):
    key = desk.create_key("left", month="5", concurrent="1")
    events = messages(desk, key.secret)
    next(events)
    events.close()
    spent, reserved = spend(desk, key)
    assert (spent, reserved > 0) == (0, True)
    answer = ask(f"{desk.base}/v1/messages", key.secret, body={"model": ANTHROPIC, "max_tokens": 9, "messages": HELLO})
    assert answer.status == 429 and "concurrent" in answer.body, answer
    eventually("the stream is settled", 5, lambda: spend(desk, key)[1] == 0)
    assert spend(desk, key)[0] > 0
