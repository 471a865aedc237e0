"""docs/gateway_role.sql: what a gateway's login may do is let requests in and write what they used."""

from __future__ import annotations

import hashlib
import re

import psycopg
import pytest
from psycopg import errors

from desk import Program, ask, clean_environment, eventually, free_port
from states import MODEL, spend_all

FUNCTIONS = ["midnight_v1", "windows_v1", "limits_v1", "limits_v2", "limits_v3", "reserve_v1", "reserve_v2", "reserve_v3", "renew_v1", "settle_v1", "settle_v2", "settle_v3", "settle_v4", "settle_batch_v1", "release_v1"]


@pytest.fixture
def login(gateway_login):
    with psycopg.connect(gateway_login, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def tables(postgres_desk):
    with psycopg.connect(postgres_desk.database_url) as owner:
        found = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
    return sorted(name for (name,) in found)


#: Whole tables that it reads: no people in them, and no secrets, but API keys of providers that are sealed.
READ = ["config_changes", "config_version", "counters", "gateway_nodes", "model_providers", "models", "provider_failures", "provider_health", "provider_keys", "providers", "rejections", "reservations"]
#: Tables that it writes itself: its row as a node, and what is shown of rejections and of providers.
WRITTEN = ["gateway_nodes", "provider_failures", "provider_health", "rejections"]
#: Of these, the columns and no other.
READ_IN_PART = {"_sqlx_migrations": ["checksum", "success", "version"], "grants": ["amount", "ends_at", "holder_id", "holder_kind", "org_id", "period"], "keys": ["id", "last_used_at"], "key_secrets": ["first_used_at", "id", "last_used_at"], "prices": ["id", "model_id", "starts_at", "origin", "source", "tariff", "withdrawn_at"], "usage": ["request_id", "key_id", "org_id", "cost", "is_priced"]}
HIDDEN = ["people", "sessions", "memberships", "invitations", "audit_events", "one_time_links", "recovery_codes", "key_secrets"]


def test_nothing_can_be_read_but_what_it_needs(login, postgres_desk, tables):
    assert set(HIDDEN) <= set(tables)
    readable: dict[str, list[str]] = {}
    with psycopg.connect(postgres_desk.database_url) as owner:
        columns = owner.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, ordinal_position"
        ).fetchall()
    for table, column in columns:
        if table not in tables:
            continue
        try:
            login.execute(f'SELECT "{column}" FROM "{table}" LIMIT 1')
            readable.setdefault(table, []).append(column)
        except errors.InsufficientPrivilege:
            pass
    whole = {table: [column for of, column in columns if of == table] for table in READ}
    assert {table: sorted(found) for table, found in readable.items()} == {
        table: sorted(found) for table, found in {**whole, **READ_IN_PART}.items()
    }


def test_no_table_can_be_written_but_what_was_refused(login, tables):
    for table in tables:
        if table not in WRITTEN:
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(f'INSERT INTO "{table}" DEFAULT VALUES')
        # A node that ends removes its row.
        delete = [] if table == "gateway_nodes" else [f'DELETE FROM "{table}"']
        for change in (*delete, f'TRUNCATE "{table}" CASCADE', f'DROP TABLE "{table}"'):
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(change)


def test_of_a_key_only_its_last_use_can_be_changed(login, postgres_desk):
    key = postgres_desk.create_key("role")
    assert login.execute("UPDATE keys SET last_used_at = 1 WHERE id = %s", [key.id]).rowcount == 1
    for change in ("status = 'active'", "rpm = NULL", "expires_at = NULL", "model_scope = 'every'", "addresses = ''", "name = 'other'"):
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute(f"UPDATE keys SET {change} WHERE id = %s", [key.id])
    with pytest.raises(errors.InsufficientPrivilege):
        login.execute("SELECT name FROM keys")
    for change in ("UPDATE budgets SET amount = 1", "UPDATE models SET version = 0", "UPDATE prices SET tariff = '{}'", "UPDATE providers SET base_url = ''", "UPDATE provider_keys SET last_four = ''", "DELETE FROM usage", "UPDATE counters SET spent = 0"):
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute(change)


def test_it_reads_its_views_and_nothing_can_be_written_through_them(login, postgres_desk):
    key = postgres_desk.create_key("role view")
    digest = hashlib.sha256(key.secret.encode()).digest()
    assert login.execute("SELECT key_name FROM gateway_keys_v1 WHERE hash = %s", [digest]).fetchone() == (key.name,)
    assert login.execute("SELECT count(*) FROM gateway_models_v1").fetchone()[0] > 0
    assert login.execute("SELECT count(*) FROM gateway_prices_v1").fetchone()[0] > 0
    login.execute("SELECT id, on_disconnect, api_path, stored_key FROM gateway_providers_v1")
    login.execute("SELECT provider_id, weight, api_path, stored_key FROM gateway_model_providers_v1")
    for change in ("UPDATE gateway_keys_v1 SET status = 'active'", "DELETE FROM gateway_models_v1", "UPDATE gateway_prices_v1 SET tariff = '{}'"):
        with pytest.raises(psycopg.Error):
            login.execute(change)


def test_the_functions_are_its_own_and_nobody_elses(login, postgres_desk):
    with psycopg.connect(postgres_desk.database_url, autocommit=True) as owner:
        rows = owner.execute(
            "SELECT proname, has_function_privilege('keydesk_gateway', oid, 'EXECUTE'), "
            "EXISTS (SELECT FROM aclexplode(COALESCE(proacl, acldefault('f', proowner))) WHERE grantee = 0) "
            "FROM pg_proc WHERE proname LIKE 'keydesk\\_%\\_v_' AND pronamespace = current_schema()::regnamespace"
        ).fetchall()
    assert sorted(rows) == sorted((f"keydesk_{name}", True, False) for name in FUNCTIONS)


def test_it_cannot_make_anything_or_become_somebody(login):
    for change in ("CREATE TABLE mine (a int)", "CREATE ROLE other", "SET ROLE keydesk", "ALTER TABLE keys ADD COLUMN a int"):
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute(change)


def test_a_gateway_serves_with_it(postgres_desk, gateway_login, tmp_path):
    """`keydesk gateway` beside the desk, on its database, with that login."""
    desk, port = postgres_desk, free_port()
    argv = [desk.binary, "gateway", "--listen", f"127.0.0.1:{port}", "--database-url", gateway_login, "--data", str(tmp_path)]
    program = Program(argv, tmp_path, tmp_path / "log", clean_environment())
    try:
        program.listens(port)
        base = f"http://127.0.0.1:{port}"
        key = desk.create_key("role gateway", month="0.01")
        answer = chat_at(base, key.secret)
        assert answer.status == 200, (answer, program.log())
        assert MODEL in [model["id"] for model in ask(f"{base}/v1/models", key.secret).json["data"]]
        assert ask(f"{base}/v1/key", key.secret).status == 200, program.log()
        eventually("its last use is on the key's page", 5, lambda: "Last usedNever" not in desk.key_page(key).words())
        # What one spends, the other sees: the budget is one.
        refused = spend_all(desk, key)
        assert refused.status == 429
        assert chat_at(base, key.secret).json["error"]["code"] == "insufficient_quota"
        desk.revoke(key)
        answer = chat_at(base, key.secret)
        assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
        eventually("the rejection is on the key's page", 5, lambda: "The key is revoked" in desk.key_page(key).words())
        # It has no pages.
        assert ask(f"{base}/sign-in").status == 404
        assert not re.search(r'\bERROR\b|permission denied', program.log()), program.log()
    finally:
        program.stop()


def chat_at(base, secret):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say it back"}], "max_tokens": 16}
    return ask(f"{base}/v1/chat/completions", secret, body=body)
