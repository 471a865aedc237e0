"""Programs and libraries that people use, each with a key in every state: what is on the screen of whoever runs it names the true
reason, and a good key gets the provider's text. programs.py has the table."""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import new_database
from desk import Key, ask
from half_dollar import Ended, Place, Wall, place
from metered_provider import ANSWER, LONG
from programs import CLAUDE, GEMINI, GPT, HERE, PROGRAMS, Program
from states import expire
from upstream import Upstream

#: What a key in that state is told; {hint} is the key as the desk shows it.
REFUSED = {
    "expired": r"The key {hint} expired .*? UTC\. Ask its owner or an admin to extend or replace it\.",
    "revoked": r"The key {hint} was revoked .*? UTC\. Ask its owner or an admin for a new key\.",
    "out of scope": r"The key {hint} is not allowed to use the model {model}\.",
    "over budget": r"The budget of the key {hint}, \$0\.50 per day, does not allow this request: .*? It resets \d+ \w+ 20\d\d 00:00 \(UTC\)",
}
LIMITED = r"The limit of the key {hint}, 2 requests per minute, is reached: .*? Try again in \d+ s"
#: Between the first and the last request of a program whose key cannot succeed. aider tries for a minute, whatever it is told.
GIVES_UP_WITHIN = 90.0
#: A program in all, which may begin slowly.
ENDS_WITHIN = 150.0
#: A minute, for as often as a library is used, and time to begin and end.
PASSES_WITHIN = 170.0


@pytest.fixture(scope="module")
def here():
    with place(Upstream, google=(GEMINI,), database_url=new_database()) as here:
        yield here


@pytest.fixture(autouse=True)
def nothing_wanted():
    Wall.wanted.clear()


@pytest.fixture(scope="module")
def keys(here) -> dict[str, Key]:
    desk = here.desk
    keys = {state: desk.create_key(state) for state in ("expired", "revoked")}
    expire(desk, keys["expired"])
    desk.revoke(keys["revoked"])
    keys["out of scope"] = desk.create_key("out of scope", scope="listed", models=[], patterns="text-*")
    keys["over budget"] = desk.create_key("over budget", day="0.50")
    body = {"model": GPT, "max_completion_tokens": 50_000, "max_tokens": 50_000, "messages": [{"role": "user", "content": LONG}]}
    assert ask(f"{desk.base}/v1/chat/completions", keys["over budget"].secret, body=body).status == 200
    return keys


def run(here: Place, program: Program, key: Key, folder: Path, within: float) -> Ended:
    (folder / "node_modules").symlink_to(HERE.parent / "node_modules")
    (folder / "ai_sdk.mjs").write_text((HERE / "ai_sdk.mjs").read_text())
    for name, content in program.home.items():
        file = folder / "home" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content(here.desk, key))
    return here.run(program.argv, key, folder, within, **{name: text.format(base=here.desk.base, secret=key.secret) for name, text in program.environment.items()})


def screen(ended: Ended) -> str:
    """As one line: terminals break lines, and what is not ASCII is shown in Python's or JSON's way by some, and as ASCII to Codex."""
    said = ended.said
    for shown in (r"\xe2\x80\xa6", r"\u2026", "..."):
        said = said.replace(f"sk-{shown}", "sk-…")
    return re.sub(r"\s+", " ", said)


def sentence(pattern: str, program: Program, key: Key) -> str:
    return pattern.format(hint=re.escape(key.hint), model=re.escape(program.model))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_good_key_gets_the_providers_text(here, tmp_path, program):
    key = here.desk.create_key(program.name)
    Upstream.watch(tmp_path / "said" if program.streams else None)
    mark = here.desk.mark()
    ended = run(here, program, key, tmp_path, ENDS_WITHIN)
    assert ended.code == 0 and ANSWER in screen(ended), ended
    answered = here.desk.answered(mark)
    print(f"{ended.seconds:.1f} s, {answered}, {Upstream.shown} of {Upstream.held} streams shown; {ended.said}")
    assert all(status == 200 for _, _, status in answered), answered
    # Whoever streams shows the first word before there is a second.
    assert not program.streams or Upstream.shown == Upstream.held > 0


@pytest.mark.parametrize("state", REFUSED)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_key_that_cannot_succeed_says_why(here, keys, tmp_path, program, state):
    Upstream.watch(None)
    key, asked, mark = keys[state], len(Upstream.asked), here.desk.mark()
    ended = run(here, program, key, tmp_path, ENDS_WITHIN)
    answered, over = here.desk.answered(mark), here.desk.answered_over(mark)
    print(f"{ended.seconds:.1f} s, {len(answered)} requests {answered} in {over:.1f} s; {ended.code} {ended.said}")
    assert re.search(sentence(REFUSED[state], program, key), screen(ended)), ended
    assert key.secret not in ended.said
    assert (ended.code == 0) == program.ends_well
    assert 0 < len(answered) <= program.tries.get(state, program.asks) and over < GIVES_UP_WITHIN
    assert len(Upstream.asked) == asked


@dataclass
class Limited:
    key: Key
    ended: Future[Ended]


@pytest.fixture(scope="module")
def limited(request, here, tmp_path_factory):
    """A minute each is nobody's to wait for, so they wait together."""
    Upstream.watch(None)
    wanted = [item.callspec.params["program"] for item in request.session.items if "limited" in item.fixturenames]

    def too_fast(program: Program, key: Key, folder: Path) -> Ended:
        for _ in range(2):
            body = {"model": GPT, "max_tokens": 16, "messages": [{"role": "user", "content": "Good morning"}]}
            assert ask(f"{here.desk.base}/v1/chat/completions", key.secret, body=body).status == 200
        return run(here, program, key, folder, PASSES_WITHIN)

    # Pages are asked here, by one thread.
    keys = {program.name: here.desk.create_key(f"limited {program.name}", rpm="2") for program in wanted}
    with ThreadPoolExecutor(6) as pool:
        yield {program.name: Limited(keys[program.name], pool.submit(too_fast, program, keys[program.name], tmp_path_factory.mktemp("limited"))) for program in wanted}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_key_that_was_too_fast_says_so_or_waits_and_passes(here, limited, program):
    key, ended = limited[program.name].key, limited[program.name].ended.result()
    print(f"{ended.seconds:.1f} s, {ended.code} {ended.said}; {here.desk.key_page(key).words()}")
    if program.waits:
        assert ended.code == 0 and ANSWER in screen(ended), ended
    else:
        assert re.search(sentence(LIMITED, program, key), screen(ended)), ended
