"""Claude Code and aider with a new key of $0.50 a day, as test_agents.py has it for smaller programs. They take more than a gigabyte,
so that they have a run of their own: scripts/client-programs.sh."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from half_dollar import place
from metered_provider import FILE, MeteredProvider

CLAUDE = str(Path(__file__).parent / "node_modules/.bin/claude")
OPUS = ["--model", "claude-opus-5-5"]
#: Nothing is sent home, looked up or updated.
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1"}
AIDER_OPTIONS = ["--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-show-release-notes", "--no-pretty"]
OF_AIDER = ["anthropic/claude-sonnet-4-5", "openai/gpt-6-sol"]


@pytest.fixture(scope="module")
def agents():
    with place() as agents:
        yield agents


@pytest.mark.parametrize("model", [[], OPUS, ["--model", "claude-opus-5-5[1m]"], ["--model", "claude-sonnet-5-5"]], ids=lambda model: "".join(model[1:]) or "default")
def test_claude_code_works_on_a_new_half_dollar(agents, tmp_path, model):
    key = agents.key("claude-code")
    agents.works([CLAUDE, "-p", "Good morning", *model], key, tmp_path, **QUIET)
    # Its instructions are long, and written to the provider's cache.
    assert any(usage.short + usage.long > 5_000 for usage in MeteredProvider.account)


def test_claude_code_uses_a_tool_on_a_new_half_dollar(agents, tmp_path):
    key = agents.key("claude-code tool")
    (tmp_path / "notes.txt").write_text("Water the violets.\n")
    agents.works([CLAUDE, "-p", FILE, *OPUS, "--allowedTools", "Read"], key, tmp_path, says="Water the violets.", **QUIET)
    assert len(MeteredProvider.account) >= 2 and MeteredProvider.account[-1].read > 0


def test_claude_code_says_when_the_half_dollar_is_used_up(agents, tmp_path):
    key = agents.key("claude-code")
    agents.use_up(key, "claude-opus-5-5")
    ended = agents.is_stopped([CLAUDE, "-p", "Good morning", *OPUS], key, tmp_path, **QUIET)
    assert ended.code != 0 and ended.seconds < 30


@pytest.fixture
def aider(tmp_path):
    """With what it keeps of LiteLLM's map of models, which it would look for outside."""
    caches = tmp_path / "home/.aider/caches"
    caches.mkdir(parents=True)
    (caches / "model_prices_and_context_window.json").write_text(json.dumps({"none": {}}))
    return [os.environ["KEYDESK_AIDER"], *AIDER_OPTIONS]


@pytest.mark.parametrize("model", OF_AIDER)
def test_aider_works_on_a_new_half_dollar(agents, aider, tmp_path, model):
    key = agents.key(f"aider {model}")
    agents.works([*aider, "--model", model, "--message", "Good morning"], key, tmp_path, **of_litellm(agents))


@pytest.mark.parametrize("model", OF_AIDER)
def test_aider_says_when_the_half_dollar_is_used_up(agents, aider, tmp_path, model):
    """It says so at once, but tries again for a minute by its own choice, and ends as if all were well."""
    key = agents.key(f"aider {model}")
    agents.use_up(key, model.split("/")[1])
    agents.is_stopped([*aider, "--model", model, "--message", "Good morning"], key, tmp_path, **of_litellm(agents))


def of_litellm(agents) -> dict[str, str]:
    return {"OPENAI_API_BASE": f"{agents.desk.base}/v1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
