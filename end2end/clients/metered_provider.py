"""A provider as test_provider.py has one that also speaks Anthropic's messages and OpenAI's responses, uses a cache as they do, and
keeps an account of what it charges."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from test_provider import CREDENTIAL, WORDS, Provider, parts

ANSWER = "".join(WORDS)
#: Asked for this, the provider answers with as many tokens as it is allowed to.
LONG = "Write a long story."
#: A prompt that makes it ask for a file, if the program offers a tool for that.
FILE = "What do my notes say?"

#: Nano-dollars for a token, from the providers' pages and not from the catalogue that is tested: input, read from the cache, written
#: to it for five minutes, for an hour, and output.
PRICES = {
    "claude-opus-5-5": (4_000, 200, 5_000, 8_000, 20_000),
    "claude-sonnet-4-5": (3_000, 300, 3_750, 6_000, 15_000),
    "claude-sonnet-5-5": (2_000, 100, 2_500, 4_000, 10_000),
    "gpt-6-sol": (2_000, 200, 2_500, 5_000, 10_000),
}


@dataclass
class Usage:
    model: str
    input: int
    read: int
    short: int
    long: int
    output: int

    def nanos(self) -> int:
        counts = (self.input, self.read, self.short, self.long, self.output)
        return sum(count * price for count, price in zip(counts, PRICES[self.model]))

    def all_input(self) -> int:
        return self.input + self.read + self.short + self.long


class MeteredProvider(Provider):
    asked: list[tuple[dict[str, str], dict]] = []
    #: What each answer used.
    account: list[Usage] = []
    #: Tokens in the cache, by model.
    cached: dict[str, int] = {}

    @classmethod
    def forget(cls) -> None:
        for kept in (cls.asked, cls.account, cls.cached):
            kept.clear()

    @classmethod
    def charged(cls) -> int:
        return sum(usage.nanos() for usage in cls.account)

    def answer(self, body: dict) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/v1/messages"):
            assert self.headers["x-api-key"] == CREDENTIAL
        else:
            assert self.headers["authorization"] == f"Bearer {CREDENTIAL}"
        if path == "/v1/messages/count_tokens":
            return self.say("application/json", json.dumps({"input_tokens": tokens(body)}))
        usage = self.used(body)
        said, call = reply(body)
        ways = {"/v1/messages": self.as_messages, "/v1/chat/completions": self.as_chat, "/v1/responses": self.as_responses}
        ways[path](body, usage, said, call)

    def used(self, body: dict) -> Usage:
        """Anthropic caches what it is asked to, OpenAI whatever is long enough."""
        sent, model = json.dumps(body), body["model"]
        total = tokens(body)
        caches = '"cache_control"' in sent if model.startswith("claude") else total >= 1_024
        fresh = 3 if caches else total
        read = min(self.cached.get(model, 0), total - fresh)
        written = total - fresh - read
        if caches:
            self.cached[model] = total - fresh
        lasts = '"ttl": "1h"' in sent
        output = body["max_tokens"] if LONG in sent else 42
        usage = Usage(model, fresh, read, 0 if lasts else written, written if lasts else 0, output)
        self.account.append(usage)
        return usage

    def as_chat(self, body: dict, usage: Usage, said: str, _call) -> None:
        self.chat(body, said, openai(usage, "prompt", "completion"))

    def as_messages(self, body: dict, usage: Usage, said: str, call: dict | None) -> None:
        written = usage.short + usage.long
        counts = {"input_tokens": usage.input, "cache_read_input_tokens": usage.read, "cache_creation_input_tokens": written}
        lifetimes = {"ephemeral_5m_input_tokens": usage.short, "ephemeral_1h_input_tokens": usage.long}
        start = {**counts, "cache_creation": lifetimes, "service_tier": "standard", "inference_geo": "not_available"}
        about = {"id": f"msg_{len(self.account)}", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
        block = {"type": "tool_use", "id": f"toolu_{len(self.account)}", **call} if call else {"type": "text", "text": said}
        why = "tool_use" if call else "end_turn"
        if not body.get("stream"):
            whole = {**about, "content": [block], "stop_reason": why, "usage": {**start, "output_tokens": usage.output}}
            return self.say("application/json", json.dumps(whole))
        events = [{"type": "message_start", "message": {**about, "content": [], "stop_reason": None, "usage": {**start, "output_tokens": 1}}}]
        events.append({"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}} if call else {"type": "text", "text": ""}})
        if call:
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(call["input"])}]
        else:
            deltas = [{"type": "text_delta", "text": part} for part in parts(said)]
        events += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": 0})
        events.append({"type": "message_delta", "delta": {"stop_reason": why, "stop_sequence": None}, "usage": {**counts, "output_tokens": usage.output}})
        events.append({"type": "message_stop"})
        self.stream(events)

    def as_responses(self, body: dict, usage: Usage, said: str, _call) -> None:
        about = {"id": f"resp_{len(self.account)}", "object": "response", "created_at": 1, "model": body["model"], "tools": [], "tool_choice": "auto"}
        about |= {"parallel_tool_calls": True, "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "service_tier": "default"}
        text = {"type": "output_text", "text": said, "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant"}
        done = {**about, "status": "completed", "output": [{**item, "status": "completed", "content": [text]}], "usage": openai(usage, "input", "output")}
        if not body.get("stream"):
            return self.say("application/json", json.dumps(done))
        place = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
        events = [{"type": "response.created", "response": {**about, "status": "in_progress", "output": [], "usage": None}}]
        events.append({"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}})
        events.append({"type": "response.content_part.added", **place, "part": {**text, "text": ""}})
        events += [{"type": "response.output_text.delta", **place, "delta": part, "logprobs": []} for part in parts(said)]
        events.append({"type": "response.output_text.done", **place, "text": said, "logprobs": []})
        events.append({"type": "response.content_part.done", **place, "part": text})
        events.append({"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]})
        events.append({"type": "response.completed", "response": done})
        self.stream([{**event, "sequence_number": number} for number, event in enumerate(events)])

    def stream(self, events: list[dict]) -> None:
        self.say("text/event-stream", "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events))


def tokens(body: dict) -> int:
    """About four bytes are a token."""
    return len(json.dumps(body)) // 4 + 1


def most(body: dict) -> int:
    """The output tokens that a request allows: without a maximum what these models can give."""
    return body.get("max_tokens") or body.get("max_completion_tokens") or body.get("max_output_tokens") or 128_000


def openai(usage: Usage, of_input: str, of_output: str) -> dict:
    """Usage in the words of OpenAI, where all parts of the input are in its total."""
    sums = {f"{of_input}_tokens": usage.all_input(), f"{of_output}_tokens": usage.output, "total_tokens": usage.all_input() + usage.output}
    details = {"cached_tokens": usage.read, "cache_write_tokens": usage.short + usage.long}
    return {**sums, f"{of_input}_tokens_details": details, f"{of_output}_tokens_details": {"reasoning_tokens": 0}}


def reply(body: dict) -> tuple[str, dict | None]:
    """What is answered, or the tool that is called first: a file's content is quoted when the program has read it."""
    sent = json.dumps(body.get("messages", []))
    read = next((tool["name"] for tool in body.get("tools", []) if tool.get("name") == "Read"), None)
    if FILE not in sent or read is None:
        return ANSWER, None
    blocks = [block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]]
    results = [json.dumps(block["content"]) for block in blocks if block["type"] == "tool_result"]
    if results:
        return f"{ANSWER} They say {results[-1]}", None
    folder = re.search(r"[Ww]orking directory: ([^\s\\]+)", json.dumps(body))
    assert folder, "the program did not tell where it works"
    return "", {"name": read, "input": {"file_path": f"{folder[1]}/notes.txt"}}
