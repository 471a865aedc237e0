"""A provider as metered_provider.py has one, that also speaks Google's protocol, fills in what structured answers ask for, and sends a
stream no further than its first word until that word is on the screen of the program that asked."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from metered_provider import ANSWER, MeteredProvider, openai, tokens
from test_provider import CREDENTIAL, parts

FIRST = parts(ANSWER)[0].strip()
#: How long a program may take to show what it has.
SHOWN_WITHIN = 20.0


class Upstream(MeteredProvider):
    #: What the program that is run has printed, if it shows streams as they come.
    screen: Path | None = None
    #: How often a stream was held at its first word, and how often that was shown.
    held, shown = 0, 0

    @classmethod
    def watch(cls, screen: Path | None) -> None:
        cls.screen, cls.held, cls.shown = screen, 0, 0

    def answer(self, body: dict) -> None:
        if ":" not in self.path.split("/")[-1]:
            return super().answer(body)
        assert self.headers["x-goog-api-key"] == CREDENTIAL
        return self.as_google(tokens(body), ":streamGenerateContent" in self.path)

    def as_google(self, sent: int, stream: bool) -> None:
        usage = {"promptTokenCount": sent, "candidatesTokenCount": 42, "totalTokenCount": sent + 42}
        answers = [{"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}]} for text in (parts(ANSWER) if stream else [ANSWER])]
        answers[-1]["candidates"][0]["finishReason"] = "STOP"
        answers[-1]["usageMetadata"] = usage
        if not stream:
            return self.say("application/json", json.dumps(answers[0]))
        self.say("text/event-stream", "".join(f"data: {json.dumps(answer)}\r\n\r\n" for answer in answers))

    def as_chat(self, body: dict, usage, said: str, call) -> None:
        """DSPy asks for its own marks around each field, and instructor for the arguments of a tool."""
        if "[[ ## answer ## ]]" in json.dumps(body):
            said = f"[[ ## answer ## ]]\n{said}\n\n[[ ## completed ## ]]\n"
        if not body.get("tools"):
            return super().as_chat(body, usage, said, call)
        function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"text": said})}
        tool = {"id": "call_1", "type": "function", "function": function}
        about = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        told = openai(usage, "prompt", "completion")
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [tool]}, "finish_reason": "tool_calls"}
            return self.say("application/json", json.dumps({**about, "object": "chat.completion", "choices": [choice], "usage": told}))
        begun = {"role": "assistant", "tool_calls": [{"index": 0, **tool, "function": {**function, "arguments": ""}}]}
        pieces = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in re.findall(r"\S+\s*", function["arguments"])]
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in [begun, *pieces]]
        choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
        events = [json.dumps({**about, "object": "chat.completion.chunk", "choices": [choice]}) for choice in choices] + ["[DONE]"]
        self.say("text/event-stream", "".join(f"data: {event}\n\n" for event in events))

    def say(self, kind: str, text: str) -> None:
        if kind != "text/event-stream" or self.screen is None:
            return super().say(kind, text)
        gap = "\r\n\r\n" if "\r\n\r\n" in text else "\n\n"
        events = [event + gap for event in text.removesuffix(gap).split(gap)]
        # One more than the word: libraries hold back an end that a later piece could change.
        at = next(number for number, event in enumerate(events) if FIRST in event) + 2
        before = self.shows()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write("".join(events[:at]).encode())
        self.wfile.flush()
        type(self).held += 1
        ends = time.monotonic() + SHOWN_WITHIN
        while self.shows() == before and time.monotonic() < ends:
            time.sleep(0.02)
        type(self).shown += self.shows() > before
        self.wfile.write("".join(events[at:]).encode())

    def shows(self) -> int:
        return self.screen.read_text().count(FIRST)
