"""The programs that are run with good and bad keys. A new one is one entry of PROGRAMS; a library is also a function of libraries.py."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from desk import Desk, Key

HERE = Path(__file__).parent
BIN = HERE / "node_modules/.bin"
HELLO = "Say hello."
#: Nothing is sent home, looked up or updated.
QUIET_CLAUDE = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1"}
QUIET_CODEX = "check_for_update_on_startup = false\n{}\n[analytics]\nenabled = false\n[features]\nplugins = false\napps = false\n"
QUIET_GEMINI = {"privacy": {"usageStatisticsEnabled": False}, "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False}}
QUIET_AIDER = ["--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-show-release-notes", "--no-pretty"]
GPT, CLAUDE, GEMINI = "gpt-6-sol", "claude-opus-5-5", "gemini-3.1-pro-preview"


@dataclass(frozen=True)
class Program:
    name: str
    #: What is typed.
    argv: list[str]
    #: The model that it asks, as the desk has it.
    model: str
    #: Whether it shows a stream as it comes.
    streams: bool = True
    #: More of its environment; {base} is the desk's address.
    environment: dict[str, str] = field(default_factory=dict)
    #: Files of its home, from the desk and the key.
    home: dict[str, Callable[[Desk, Key], str]] = field(default_factory=dict)
    #: How often the model is asked.
    asks: int = 1
    #: The most requests that it sends with a key that cannot succeed, where it tries again, by the key's state.
    tries: dict[str, int] = field(default_factory=dict)
    #: Whether it waits until a rate limit lets the request pass; otherwise it says why it stopped.
    waits: bool = True
    #: Whether it ends with the code 0 when it was refused.
    ends_well: bool = False


def library(function: str, model: str, name: str | None = None, **more) -> Program:
    """Its name of the model has the desk's at its end."""
    argv = [os.environ["KEYDESK_LIBRARIES"], str(HERE / "libraries.py"), function, name or model]
    # LiteLLM would fetch its list of models.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return Program(f"{function} {name or model}", argv, model, asks=2, environment=environment, **more)


def ai_sdk(way: str, model: str) -> Program:
    """It tries each 429 three times, within six seconds."""
    return Program(f"ai-sdk {way}", ["node", "ai_sdk.mjs", way, model], model, asks=2, tries={"over budget": 6})


def llm(model: str, name: str | None = None) -> Program:
    return Program(f"llm {model}", [os.environ["KEYDESK_LLM"], "-m", name or model, HELLO], model)


def aider(model: str, name: str) -> Program:
    """It tries each 429 for a minute, and Anthropic's 403 too."""
    argv = [os.environ["KEYDESK_AIDER"], *QUIET_AIDER, "--model", name, "--message", HELLO]
    # LiteLLM's list of models, which it would fetch.
    home = {".aider/caches/model_prices_and_context_window.json": lambda *_: json.dumps({"none": {}})}
    environment = {"OPENAI_API_BASE": "{base}/v1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return Program(f"aider {model}", argv, model, home=home, environment=environment, tries={"over budget": 9, "out of scope": 9}, ends_well=True)


PROGRAMS = [
    Program("claude-code", [str(BIN / "claude"), "-p", HELLO, "--model", CLAUDE], CLAUDE, streams=False, environment=QUIET_CLAUDE),
    # As the page that shows a key has its settings.
    Program(
        "codex", [str(BIN / "codex"), "exec", "--skip-git-repo-check", "--model", GPT, HELLO], GPT, streams=False,
        # Six times within seven seconds.
        tries={"expired": 6, "revoked": 6, "out of scope": 6},
        environment={"KEYDESK_API_KEY": "{secret}"},
        home={".codex/config.toml": lambda desk, key: QUIET_CODEX.format(desk.snippets(key)["Codex"])},
    ),
    Program(
        "gemini-cli", [str(BIN / "gemini"), "-p", HELLO, "-m", GEMINI], GEMINI,
        environment={"GEMINI_CLI_TRUST_WORKSPACE": "true"},
        home={".gemini/settings.json": lambda *_: json.dumps({**QUIET_GEMINI, "security": {"auth": {"selectedType": "gemini-api-key"}}})},
    ),
    aider(GPT, f"openai/{GPT}"),
    aider(CLAUDE, f"anthropic/{CLAUDE}"),
    llm(GPT),
    llm(CLAUDE, f"anthropic/{CLAUDE}"),
    library("langchain_openai", GPT),
    library("langchain_anthropic", CLAUDE),
    # It tries each 429 six times, within 35 seconds.
    library("langchain_google", GEMINI, tries={"over budget": 12}, waits=False),
    # And this one a 429 of what is not streamed three times.
    library("llama_index_openai", GPT, tries={"over budget": 4}),
    library("llama_index_anthropic", CLAUDE),
    library("litellm", GPT, f"openai/{GPT}"),
    library("litellm", CLAUDE, f"anthropic/{CLAUDE}", waits=False),
    library("litellm", GEMINI, f"gemini/{GEMINI}", waits=False),
    library("pydantic_ai", GPT, f"openai:{GPT}"),
    library("pydantic_ai", CLAUDE, f"anthropic:{CLAUDE}"),
    library("pydantic_ai", GEMINI, f"google:{GEMINI}", waits=False),
    library("instructor", GPT, f"openai/{GPT}", streams=False),
    library("dspy", GPT, f"openai/{GPT}"),
    ai_sdk("messages", CLAUDE),
    ai_sdk("responses", GPT),
    ai_sdk("chat", GPT),
]
