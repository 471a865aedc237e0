"""The AI SDK and `llm` with a new key of $0.50 a day. Both ask for the most output that a model can give, which alone would cost more.
programs/test_half_dollar.py does the same with larger programs."""

from __future__ import annotations

import os

import pytest

from half_dollar import place
from test_snippets import HERE

AI_SDK = """
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

const [way, name] = process.argv.slice(2);
const anthropic = createAnthropic({ baseURL: `${process.env.ANTHROPIC_BASE_URL}/v1` });
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const model = { messages: anthropic, responses: openai, chat: openai.chat }[way](name);
const prompt = "Good morning";
console.log((await generateText({ model, prompt })).text);
for await (const part of streamText({ model, prompt }).textStream) process.stdout.write(part);
"""
MODELS = [("messages", "claude-opus-5-5"), ("responses", "gpt-6-sol"), ("chat", "gpt-6-sol")]
#: As it names them.
OF_LLM = ["anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-5-5", "gpt-6-sol"]


@pytest.fixture(scope="module")
def agents():
    with place() as agents:
        yield agents


@pytest.fixture
def ai_sdk(tmp_path):
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "ask.mjs").write_text(AI_SDK)
    return ["node", "ask.mjs"]


@pytest.mark.parametrize("way, model", MODELS, ids=[way for way, _ in MODELS])
def test_the_ai_sdk_works_on_a_new_half_dollar(agents, ai_sdk, tmp_path, way, model):
    key = agents.key(f"ai-sdk {way}")
    agents.works([*ai_sdk, way, model], key, tmp_path)


@pytest.mark.parametrize("way, model", MODELS, ids=[way for way, _ in MODELS])
def test_the_ai_sdk_says_when_the_half_dollar_is_used_up(agents, ai_sdk, tmp_path, way, model):
    key = agents.key(f"ai-sdk {way}")
    agents.use_up(key, model)
    ended = agents.is_stopped([*ai_sdk, way, model], key, tmp_path)
    assert ended.code != 0 and ended.seconds < 30


@pytest.mark.parametrize("model", OF_LLM)
def test_llm_works_on_a_new_half_dollar(agents, tmp_path, model):
    key = agents.key(f"llm {model}")
    agents.works([os.environ["KEYDESK_LLM"], "-m", model, "Good morning"], key, tmp_path)


@pytest.mark.parametrize("model", OF_LLM)
def test_llm_says_when_the_half_dollar_is_used_up(agents, tmp_path, model):
    key = agents.key(f"llm {model}")
    agents.use_up(key, model.split("/")[-1])
    ended = agents.is_stopped([os.environ["KEYDESK_LLM"], "-m", model, "Good morning"], key, tmp_path)
    assert ended.code != 0 and ended.seconds < 30


def test_a_program_that_asks_outside_is_noticed(agents, tmp_path):
    key = agents.key("outside")
    with pytest.raises(AssertionError, match="wanted something outside"):
        agents.run(["curl", "-s", "http://models.example/"], key, tmp_path, 10)
