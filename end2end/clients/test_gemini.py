"""Google's client: every state of a key, whole and streamed, by its own errors. By itself it asks everything once."""

from __future__ import annotations

import re

import pytest
from google import genai
from google.genai import errors, types

from desk import ask, eventually
from states import GEMINI as ROUTE
from states import MODEL, RATE_LIMITED, REFUSALS, SERVED, WORDS, pattern, serve, spent

CONFIG = types.GenerateContentConfig(max_output_tokens=16)
STATUS = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED"}


def client_of(desk, secret: str, **more) -> genai.Client:
    return genai.Client(api_key=secret, http_options={"base_url": desk.base, **more})


def content(client) -> str:
    done = client.models.generate_content(model=MODEL, contents=WORDS, config=CONFIG)
    assert done.usage_metadata.total_token_count > 0
    return done.text


def content_streamed(client) -> str:
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=WORDS, config=CONFIG))
    assert chunks[-1].usage_metadata.total_token_count > 0
    return "".join(chunk.text or "" for chunk in chunks)


CALLS = [content, content_streamed]


@pytest.mark.parametrize("call", CALLS)
def test_a_good_key_is_answered_and_its_spend_appears(desk, call):
    key = desk.create_key(f"gemini {call.__name__}")
    mark = desk.mark()
    with client_of(desk, key.secret) as client:
        assert call(client)
    assert desk.answered(mark) == [("POST", ROUTE, 200)]
    requests, tokens = eventually("one request on the key's page", 1, lambda: (s := spent(desk, key))[0] and s)
    assert requests == 1 and tokens > 0
    assert desk.spent_nanos(key) == tokens * 100_000


def test_tokens_are_counted_and_cost_nothing(desk):
    key = desk.create_key("gemini count")
    with client_of(desk, key.secret) as client:
        assert client.models.count_tokens(model=MODEL, contents=WORDS).total_tokens > 0
    assert desk.spent_nanos(key) == 0


def test_an_answer_carries_its_number(desk):
    key = desk.create_key("gemini headers")
    with client_of(desk, key.secret) as client:
        done = client.models.generate_content(model=MODEL, contents=WORDS, config=CONFIG)
    assert re.fullmatch(r"[0-9A-Za-z_-]{8,64}", done.sdk_http_response.headers["x-request-id"])


@pytest.mark.parametrize("rejection", REFUSALS, ids=lambda rejection: rejection.state)
@pytest.mark.parametrize("call", CALLS)
def test_a_refused_key_raises_its_error_and_is_asked_once(desk, keys, call, rejection):
    secret, key = keys.refused(rejection.state)
    mark = desk.mark()
    with client_of(desk, secret) as client, pytest.raises(errors.ClientError) as raised:
        call(client)
    error = raised.value
    assert (error.code, error.status) == (rejection.status, STATUS[rejection.status])
    assert re.search(pattern(rejection, desk, key), error.message), error.message
    reason = error.details["error"]["details"][0]["reason"]
    assert reason == {"invalid_api_key": "API_KEY_INVALID"}.get(rejection.code, rejection.code.upper())
    assert secret not in str(error)
    assert desk.answered(mark) == [("POST", ROUTE, rejection.status)]


@pytest.mark.parametrize("call", CALLS)
def test_a_rate_limited_key_is_told_when_to_ask_again(desk, keys, call):
    key = keys.rate_limited()
    with client_of(desk, key.secret) as client, pytest.raises(errors.ClientError) as raised:
        call(client)
    assert (raised.value.code, raised.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert re.search(pattern(RATE_LIMITED, desk, key), raised.value.message), raised.value.message
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 59


def test_a_key_as_the_desk_shows_it_is_known_for_what_it_is(desk):
    key = desk.create_key("gemini shown")
    # The client itself cannot put … into a header, and sends nothing; in a query it can stand.
    mark = desk.mark()
    with client_of(desk, key.hint) as client, pytest.raises(UnicodeEncodeError):
        content(client)
    assert desk.answered(mark) == []
    answer = ask(f"{desk.base}/v1beta/models/{MODEL}:generateContent?key=sk-%E2%80%A6a1B2", body={"contents": [{"parts": [{"text": WORDS}]}]})
    assert (answer.status, answer.json["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert "The key is masked" in answer.json["error"]["message"]


def test_the_list_of_models_is_what_the_key_may_use(desk):
    serve(desk)
    key = desk.create_key("gemini models", scope="listed", models=[], patterns="gemini-*\ngpt-*")
    with client_of(desk, key.secret) as client:
        # What is served in another protocol cannot be called with this client.
        assert [model.name for model in client.models.list()] == [f"models/{SERVED['gemini']}"]
    with client_of(desk, desk.create_key("gemini every").secret) as client:
        assert f"models/{MODEL}" in [model.name for model in client.models.list()]


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_both_versions_of_the_protocol_are_one(desk, version):
    key = desk.create_key(f"gemini {version}")
    with client_of(desk, key.secret, api_version=version) as client:
        assert content(client) and content_streamed(client)
        assert client.models.get(model=MODEL).name == f"models/{MODEL}"
        assert f"models/{MODEL}" in [model.name for model in client.models.list()]
    with client_of(desk, "sk-***", api_version=version) as client, pytest.raises(errors.ClientError) as raised:
        client.models.list()
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")
