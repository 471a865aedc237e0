"""What the clients do by themselves when a key was too fast: begun in the background with the first test, on an installation of
its own, because the minute that it takes is nobody's to wait for."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

import anthropic
import openai
from google import genai
from google.genai import types

from desk import Desk, Key
from states import GEMINI, MODEL, WORDS, chat


@dataclass
class Waited:
    seconds: float
    text: str
    asked: list[tuple[str, str, int]]


class Retries:
    def __init__(self, desk: Desk):
        self.desk = desk
        self._pool = ThreadPoolExecutor(3)
        asks: dict[str, tuple[str, Callable[[Key], str]]] = {
            "openai": ("/v1/chat/completions", self._openai),
            "anthropic": ("/v1/messages", self._anthropic),
            "gemini": (GEMINI, self._gemini),
        }
        # Pages are asked here, by one thread; each client then has a key and a route of its own.
        keys = {name: desk.create_key(name, rpm="1") for name in asks}
        for key in keys.values():
            assert chat(desk, key).status == 200
        self._mark = desk.mark()
        self.waited: dict[str, Future[Waited]] = {
            name: self._pool.submit(self._wait, route, call, keys[name]) for name, (route, call) in asks.items()
        }

    def _wait(self, route: str, call: Callable[[Key], str], key: Key) -> Waited:
        began = time.monotonic()
        text = call(key)
        return Waited(time.monotonic() - began, text, self.desk.answered(self._mark, route))

    def join(self) -> None:
        self._pool.shutdown(wait=True)

    # The clients as they come. Google's retries nothing until it is told to, and then by its own clock.

    def _openai(self, key: Key) -> str:
        client = openai.OpenAI(base_url=f"{self.desk.base}/v1", api_key=key.secret)
        done = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": WORDS}], max_tokens=16)
        return done.choices[0].message.content

    def _anthropic(self, key: Key) -> str:
        client = anthropic.Anthropic(base_url=self.desk.base, api_key=key.secret)
        return client.messages.create(model=MODEL, messages=[{"role": "user", "content": WORDS}], max_tokens=16).content[0].text

    def _gemini(self, key: Key) -> str:
        retry = types.HttpRetryOptions(attempts=8)
        with genai.Client(api_key=key.secret, http_options={"base_url": self.desk.base, "retry_options": retry}) as client:
            return client.models.generate_content(model=MODEL, contents=WORDS, config={"max_output_tokens": 16}).text
