"""The page that shows a key offers snippets. They are run here as they stand, read off that page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import serving
from desk import ask, clean_environment, eventually, free_port
from states import MODEL, SERVED, serve, spent

HERE = Path(__file__).parent
SAID = "This is a demonstration"
#: Which program runs which snippet, and the file that it is pasted into.
RUNS = {
    "curl": (["bash"], "ask.sh"),
    "Python OpenAI": ([sys.executable], "ask.py"),
    "Node OpenAI": (["node"], "ask.mjs"),
    "Python Anthropic": ([sys.executable], "ask.py"),
    "Node Anthropic": (["node"], "ask.mjs"),
    "Python Google": ([sys.executable], "ask.py"),
}
#: Settings of programs: what follows the address, and whether they name a model.
SETTINGS = {"Claude Code": ("\n", True), "Codex": ("/v1", True), "Cursor": ("/v1", True), "Open WebUI": ("/v1", False)}
#: What somebody writes who has the .env file.
WITH_ENV = """
import os
from anthropic import Anthropic
from google import genai
from openai import OpenAI

model, hello = os.environ["MODEL"], [{"role": "user", "content": "Say hello."}]
print(OpenAI().chat.completions.create(model=model, messages=hello).choices[0].message.content)
print(Anthropic().messages.create(model=model, max_tokens=100, messages=hello).content[0].text)
client = genai.Client()
print(client.models.generate_content(model=model, contents="Say hello.").text)
"""


def run(argv: list[str], folder: Path) -> str:
    done = subprocess.run(argv, cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    """Where somebody pastes it: a folder with the clients installed."""
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    return tmp_path


def test_there_is_a_snippet_for_each(sqlite_desk):
    key = sqlite_desk.create_key("snippets")
    snippets = sqlite_desk.snippets(key)
    assert list(snippets) == [*RUNS, ".env", "Python stream", *SETTINGS]
    for label, (address, name) in SETTINGS.items():
        assert f"{sqlite_desk.base}{address}" in snippets[label] and key.secret in snippets[label], label
        assert (MODEL in snippets[label]) == name, label
    for label in ("Python OpenAI", "Python Anthropic", "Python Google", "Python stream"):
        assert snippets[label].startswith("# pip install ")
    for label in ("Node OpenAI", "Node Anthropic"):
        assert snippets[label].startswith("// npm install ")


def test_the_snippet_of_a_stream_prints_as_it_comes(sqlite_desk, folder):
    key = sqlite_desk.create_key_by_name("snippet stream")
    (folder / "ask.py").write_text(sqlite_desk.snippets(key)["Python stream"] + "\n")
    assert SAID in run([sys.executable, "ask.py"], folder)
    assert spent(sqlite_desk, key)[0] == 1


def test_the_settings_of_codex_are_toml(sqlite_desk):
    text = sqlite_desk.snippets(sqlite_desk.create_key("codex"))["Codex"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r'\[[a-z_.]+\]|[a-z_]+ = "[^"]*"', line) for line in lines), text
    assert lines[1:3] == ['model_provider = "keydesk"', "[model_providers.keydesk]"]
    assert f'base_url = "{sqlite_desk.base}/v1"' in lines


def test_snippets_show_the_address_that_the_person_uses():
    """Without a configured address: that of the browser, and a port of the gateway's own on the same host."""
    port = free_port()
    for extra, expected in [((), "http://localhost:{desk}"), (("--gateway-listen", f"0.0.0.0:{port}"), f"http://localhost:{port}")]:
        with serving(extra=extra) as desk:
            desk.base = f"http://localhost:{desk.port}"
            desk.person = desk.sign_in()
            snippet = desk.snippets(desk.create_key("address"))["curl"]
            assert snippet.startswith(f"curl {expected.format(desk=desk.port)}/v1/"), snippet


@pytest.mark.parametrize("label", RUNS)
def test_a_snippet_runs_unchanged_and_its_spend_appears(sqlite_desk, folder, label):
    desk = sqlite_desk
    # As it is made by somebody who types only a name.
    key = desk.create_key_by_name(f"snippet {label}")
    program, file = RUNS[label]
    (folder / file).write_text(desk.snippets(key)[label] + "\n")
    mark = desk.mark()
    assert SAID in run([*program, file], folder)
    assert [status for _, _, status in desk.answered(mark)] == [200]
    requests, tokens = eventually("one request on the key's page", 1, lambda: (s := spent(desk, key))[0] and s)
    assert requests == 1
    assert desk.spent_nanos(key) == tokens * 100_000


def test_the_env_file_is_all_that_the_clients_need(sqlite_desk, folder):
    desk = sqlite_desk
    key = desk.create_key_by_name("snippet env")
    (folder / ".env").write_text(desk.snippets(key)[".env"] + "\n")
    (folder / "ask.py").write_text(WITH_ENV)
    said = run(["bash", "-c", f'set -a; . ./.env; set +a; exec "{sys.executable}" ask.py'], folder)
    assert said.count(SAID) == 3
    assert spent(desk, key)[0] == 3


def test_a_key_for_what_is_not_served_lists_its_models(sqlite_desk, folder):
    """Its models have a provider, and none of them has answered yet."""
    desk = sqlite_desk
    serve(desk)
    key = desk.create_key("snippet unserved", scope="listed", models=[], patterns="gpt-*\nclaude-*\ngemini-*")
    protocols = {"Python Anthropic": "anthropic", "Node Anthropic": "anthropic", "Python Google": "gemini"}
    for label, (program, file) in RUNS.items():
        (folder / file).write_text(desk.snippets(key)[label] + "\n")
        said = run([*program, file], folder)
        assert SERVED[protocols.get(label, "openai")] in said and MODEL not in said
    assert desk.spent_nanos(key) == 0


def test_a_budget_of_a_cent_stops_the_next_request_and_says_which_whose_and_when_it_resets(sqlite_desk, folder):
    """The snippet of the page, again and again."""
    desk = sqlite_desk
    key = desk.create_key("snippet cent", month="0.01")
    (folder / "ask.sh").write_text(desk.snippets(key)["curl"] + "\n")
    answers = []
    while SAID in (said := run(["bash", "ask.sh"], folder)):
        answers.append(said)
        assert len(answers) < 100
    assert answers
    assert '"code":"insufficient_quota"' in said
    assert re.search(
        rf"The budget of the key {re.escape(key.hint)}, \$0\.01 per month, does not allow this request: .* It resets 1 \w+ 20\d\d 00:00 \(UTC\)\.", said
    ), said
    assert desk.spent_nanos(key) <= 10_000_000
    eventually(
        "the rejection on the key's page", 3, lambda: "budget did not suffice" in desk.key_page(key).words()
    )


def test_with_a_port_of_its_own_the_snippets_name_the_gateways(folder):
    port = free_port()
    with serving(extra=("--gateway-listen", f"127.0.0.1:{port}")) as desk:
        key = desk.create_key_by_name("snippet port")
        for label in ("curl", "Python Anthropic"):
            program, file = RUNS[label]
            snippet = desk.snippets(key)[label]
            assert f"http://127.0.0.1:{port}" in snippet and desk.base not in snippet
            (folder / file).write_text(snippet + "\n")
            assert SAID in run([*program, file], folder)
        assert spent(desk, key)[0] == 2
        # On the desk's own port there is no gateway then.
        assert ask(f"{desk.base}/v1/models", key.secret).status == 404
