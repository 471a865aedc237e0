"""Two installations for all tests, one on SQLite and one on Postgres: what holds, holds on both."""

from __future__ import annotations

import contextlib
import itertools
import os
import urllib.parse

import psycopg
import pytest

from desk import Desk
from states import DOCS, Keyring
from retries import Retries

DATABASES = itertools.count(1)


def pytest_collection_modifyitems(items):
    """Nobody but the program writes a SQLite file, and the form's shortest expiry is today's end: keys expire on Postgres alone."""

    def possible(item) -> bool:
        asked = item.callspec.params if hasattr(item, "callspec") else {}
        return not (asked.get("desk") == "sqlite" and getattr(asked.get("rejection"), "state", None) == "expired")

    items[:] = [item for item in items if possible(item)]


def new_database() -> str:
    """A new, empty Postgres database; its address."""
    server = os.environ["KEYDESK_TEST_POSTGRES"]
    name = f"clients_{os.getpid()}_{next(DATABASES)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return urllib.parse.urlsplit(server)._replace(path=f"/{name}").geturl()


@contextlib.contextmanager
def serving(**how):
    desk = Desk(**how)
    try:
        yield desk
        assert desk.errors() == []
    finally:
        desk.stop()


@pytest.fixture(scope="session")
def sqlite_desk():
    with serving() as desk:
        yield desk


@pytest.fixture(scope="session")
def postgres_desk():
    with serving(database_url=new_database()) as desk:
        yield desk


@pytest.fixture(scope="session")
def gateway_login(postgres_desk) -> str:
    """The address of the Postgres desk's database for a login that has docs/gateway_role.sql's role and nothing else."""
    login = f"gateway_{os.getpid()}"
    with psycopg.connect(postgres_desk.database_url, autocommit=True) as owner:
        for _ in range(2):
            owner.execute((DOCS / "gateway_role.sql").read_text())
        owner.execute(f'CREATE ROLE "{login}" LOGIN IN ROLE keydesk_gateway')
    url = urllib.parse.urlsplit(postgres_desk.database_url)
    return url._replace(netloc=f"{login}@{url.hostname}:{url.port}").geturl()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def desk(request) -> Desk:
    return request.getfixturevalue(f"{request.param}_desk")


@pytest.fixture(scope="session")
def keys(desk) -> Keyring:
    return Keyring(desk)


@pytest.fixture(scope="session", autouse=True)
def begin_retries(request):
    """Waiting out a minute takes a minute: what test_retries.py asks about begins with the first test."""
    if any("retries" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("retries")


@pytest.fixture(scope="session")
def retries():
    desk = Desk()
    waiting = Retries(desk)
    try:
        yield waiting
    finally:
        waiting.join()
        desk.stop()
