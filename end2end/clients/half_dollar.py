"""Programs run as somebody runs them who has a new key of $0.50 a day: with a home of their own, and nothing but loopback to reach."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from conftest import serving
from desk import Desk, Key, ask
from metered_provider import ANSWER, LONG, PRICES, MeteredProvider, most
from test_provider import CREDENTIAL, listening

HALF = 500_000_000


class Wall(BaseHTTPRequestHandler):
    """The only proxy that programs are told of. Nothing gets through, and what they wanted outside is written down."""

    wanted: list[str] = []

    def refuse(self):
        self.wanted.append(f"{self.command} {self.path}")
        self.send_error(403)

    do_CONNECT = do_GET = do_POST = do_HEAD = refuse

    def log_message(self, *_):
        pass


@dataclass
class Ended:
    code: int
    said: str
    seconds: float


@dataclass
class Place:
    """A desk whose models are all served by the provider, and how programs are run beside it."""

    desk: Desk
    wall: str

    def key(self, program: str) -> Key:
        """A new key whose only limit is $0.50 a day."""
        MeteredProvider.forget()
        Wall.wanted.clear()
        return self.desk.create_key(program, day="0.50")

    def run(self, argv: list[str], key: Key, folder: Path, within: float, **more: str) -> Ended:
        """With the variables that the key's page offers, in a folder and a home of its own, and with nothing of whoever runs the tests."""
        home = folder / "home"
        home.mkdir(exist_ok=True)
        offered = dict(line.split("=", 1) for line in self.desk.snippets(key)[".env"].splitlines())
        outside = {name: self.wall for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
        inside = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        own = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb"}
        began = time.monotonic()
        with open(folder / "said", "w") as said:
            process = subprocess.Popen(
                argv, cwd=folder, env={**own, **offered, **outside, **inside, **more},
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
            try:
                code = process.wait(within)
            finally:
                # And what it started, if that is still there.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            ended = Ended(code, (folder / "said").read_text(), time.monotonic() - began)
        assert Wall.wanted == [], f"{argv[0]} wanted something outside: {Wall.wanted}"
        return ended

    def works(self, argv: list[str], key: Key, folder: Path, says: str = ANSWER, within: float = 60, **more: str) -> None:
        """The program ends well with the provider's answer, no request was refused, and what was recorded is what was charged."""
        mark = self.desk.mark()
        ended = self.run(argv, key, folder, within, **more)
        assert ended.code == 0 and says in ended.said, ended
        answered = self.desk.answered(mark)
        assert answered and all(status == 200 for _, _, status in answered), answered
        # Held in full, the most that a request may cost would not have fitted.
        assert all(most(body) * PRICES[body["model"]][-1] > HALF for _, body in MeteredProvider.asked)
        told = ask(f"{self.desk.base}/v1/key", key.secret).json
        (budget,) = told["limits"]
        assert (budget["limit"], budget["reserved"]) == (HALF, 0)
        assert told["spent"]["total_nanos"] == budget["used"] == MeteredProvider.charged() > 0
        print(f"{ended.seconds:.1f} s, ${MeteredProvider.charged() / 1e9:.6f} for {MeteredProvider.account}")

    def use_up(self, key: Key, model: str) -> None:
        """By one answer that is long enough."""
        output = -(-HALF // PRICES[model][-1])
        route = "messages" if model.startswith("claude") else "chat/completions"
        body = {"model": model, "max_tokens": output, "messages": [{"role": "user", "content": LONG}]}
        answer = ask(f"{self.desk.base}/v1/{route}", key.secret, body=body)
        assert answer.status == 200 and self.desk.spent_nanos(key) == MeteredProvider.charged() >= HALF, answer

    def is_stopped(self, argv: list[str], key: Key, folder: Path, **more: str) -> Ended:
        """The program says which budget is used up and when it resets. The provider is not asked."""
        asked, mark = len(MeteredProvider.asked), self.desk.mark()
        ended = self.run(argv, key, folder, 120, **more)
        # aider breaks lines, and shows Anthropic's errors as Python's bytes.
        said = re.sub(r"\s+", " ", ended.said).replace(r"\xe2\x80\xa6", "…")
        sentence = rf"The budget of the key {re.escape(key.hint)}, \$0\.50 per day, does not allow this request: .* It resets \d+ \w+ 20\d\d 00:00 \(UTC\)\."
        assert re.search(sentence, said), ended
        assert len(MeteredProvider.asked) == asked
        print(f"{ended.seconds:.1f} s, {len(self.desk.answered(mark))} requests")
        return ended


@contextlib.contextmanager
def place(provider=MeteredProvider, google: tuple[str, ...] = (), **how):
    """Google's models are named by who has a provider that speaks its protocol."""
    environment = {"SOMEBODY_API_KEY": CREDENTIAL}
    served = {"anthropic": [model for model in PRICES if model.startswith("claude-")], "openai": [model for model in PRICES if model.startswith("gpt-")]}
    with listening(provider) as url, listening(Wall) as wall, serving(environment=environment, **how) as desk:
        for protocol, models in {**served, "gemini": google}.items():
            if models:
                desk.command("providers", "add", protocol.title(), "--protocol", protocol, "--url", url, "--credential-env", "SOMEBODY_API_KEY")
                desk.command("models", "route", *models, "--to", protocol.title())
        yield Place(desk, wall)
