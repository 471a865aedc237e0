"""The fixtures of the tests of faults; harness.py has the conventions."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import urllib.parse

import psycopg
import pytest

from harness import Neighbour, Provider, Server
from machines import Clock, Postgres, SmallDisk

DATABASES = itertools.count(1)
#: Seconds for each of set-up, test and tear-down.
BOUND = 60


@contextlib.contextmanager
def bounded(item):
    marker = item.get_closest_marker("bounded")
    seconds = marker.args[0] if marker else BOUND

    def late(*_):
        raise TimeoutError(f"{item.name} took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with bounded(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with bounded(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    with bounded(item):
        return (yield)


def new_database() -> str:
    """A new, empty database of the Postgres that all tests share; its address."""
    server = os.environ["KEYDESK_TEST_POSTGRES"]
    name = f"faults_{os.getpid()}_{next(DATABASES)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return urllib.parse.urlsplit(server)._replace(path=f"/{name}").geturl()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request) -> str:
    return request.param


@pytest.fixture
def start():
    """Starts servers: on "sqlite", on a new database of the shared Postgres with "postgres", or on that address."""
    with contextlib.ExitStack() as started:

        def start(database: str = "sqlite", **how) -> Server:
            url = {"sqlite": None, "postgres": None}.get(database, database)
            server = Server(database_url=new_database() if database == "postgres" else url, **how)
            started.callback(server.stop)
            return server

        yield start


@pytest.fixture
def neighbour():
    """`with neighbour(server) as n:`; see harness.Neighbour."""
    return Neighbour


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture
def postgres():
    postgres = Postgres()
    try:
        yield postgres
    finally:
        postgres.stop()


@pytest.fixture
def clock(tmp_path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def small_disk():
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted by root only")
    with contextlib.ExitStack() as mounted:

        def small_disk(mebibytes: int) -> SmallDisk:
            disk = SmallDisk(mebibytes)
            mounted.callback(disk.remove)
            return disk

        yield small_disk
