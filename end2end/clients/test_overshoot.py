"""One budget and two processes on one database: what forty requests at once may spend."""

from __future__ import annotations

import concurrent.futures
import itertools
import threading

import pytest

from conftest import new_database, serving
from desk import Program, ask, clean_environment, free_port
from metered_provider import LONG, PRICES, MeteredProvider
from test_provider import CREDENTIAL, listening

MODEL = "claude-opus-5-5"
BUDGET, ONE = 500_000_000, 10_000 * PRICES[MODEL][-1]
AT_ONCE = 40


class CountedProvider(MeteredProvider):
    lock = threading.Lock()

    def used(self, body: dict):
        with self.lock:
            return super().used(body)


@pytest.fixture(scope="module")
def bases():
    """A desk with its gateway, and a gateway alone on the same database; with the desk."""
    environment = {"SOMEBODY_API_KEY": CREDENTIAL}
    with listening(CountedProvider) as url, serving(database_url=new_database(), environment=environment) as desk:
        desk.command("providers", "add", "Far", "--protocol", "anthropic", "--url", url, "--credential-env", "SOMEBODY_API_KEY")
        desk.command("models", "route", MODEL, "--to", "Far")
        port = free_port()
        argv = [desk.binary, "gateway", "--listen", f"127.0.0.1:{port}", *desk.arguments()]
        other = Program(argv, desk.folder, desk.folder / "gateway.log", clean_environment(**environment))
        try:
            other.listens(port)
            yield desk, [desk.base, f"http://127.0.0.1:{port}"]
        finally:
            assert other.stop() == 0


def set_overshoot(desk, choice: str) -> None:
    page = desk.person.get(f"/{desk.org}/settings")
    saved = desk.person.post(page.form("/api/orgs/save"), overshoot=choice)
    assert saved.status == 200, saved.words()[:500]


@pytest.mark.parametrize("choice, beyond", [("none", 0), ("one_request", ONE + 10_000_000)])
def test_a_budget_is_passed_by_no_more_than_is_promised(bases, choice, beyond):
    desk, addresses = bases
    set_overshoot(desk, choice)
    for parallel in range(2):
        MeteredProvider.forget()
        key = desk.create_key(f"overshoot {choice} {parallel}", day="0.50")
        body = {"model": MODEL, "max_tokens": 10_000, "messages": [{"role": "user", "content": LONG}]}
        where = itertools.cycle(addresses)

        def one(base: str) -> int:
            return ask(f"{base}/v1/messages", key.secret, body=body).status

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            statuses = list(pool.map(one, [next(where) for _ in range(AT_ONCE)]))
        # And what still fits when nothing else is in flight.
        while one(addresses[parallel]) == 200:
            statuses.append(200)
        assert set(statuses) == {200, 429}
        charged = MeteredProvider.charged()
        assert ONE <= charged <= BUDGET + beyond, (charged, len(MeteredProvider.account))
        assert desk.spent_nanos(key) == charged
