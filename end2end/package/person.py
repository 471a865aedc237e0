"""What a person does with an installed package, for scripts/package-test.sh: person.py ready, set-up LINK, key NAME, ask SECRET."""

import sys
import urllib.parse
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[1] / "clients"))
from desk import ANA, Desk, Person, ask  # noqa: E402

BASE = "http://127.0.0.1:3000"


class Installed(Desk):
    """A desk that runs already, with its owner signed in."""

    def __init__(self):
        self.base, self.org, self._count = BASE, ANA["org"].lower(), 0
        self.person = self.sign_in()


def ready() -> None:
    assert ask(f"{BASE}/readyz").status == 200


def set_up(link: str) -> None:
    person = Person(BASE)
    page = person.post(person.get(urllib.parse.urlsplit(link).path).form("/api/session/setup"), **ANA)
    assert ANA["org"] in page.words(), page.words()[:500]


def key(name: str) -> None:
    print(Installed().create_key(name).secret)


def use(secret: str) -> None:
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "Say hello."}]}
    answer = ask(f"{BASE}/v1/chat/completions", secret, body=body)
    assert answer.status == 200, answer


{"ready": ready, "set-up": set_up, "key": key, "ask": use}[sys.argv[1]](*sys.argv[2:])
