"""Anthropic's client: every state of a key, whole and streamed, by its own errors; what cannot succeed is asked once."""

from __future__ import annotations

import re

import anthropic
import pytest

from desk import ask, eventually
from states import MODEL, RATE_LIMITED, REFUSALS, SERVED, WORDS, pattern, serve, spent

MESSAGES = dict(model=MODEL, messages=[{"role": "user", "content": WORDS}])
ERRORS = {
    401: (anthropic.AuthenticationError, "authentication_error"),
    403: (anthropic.PermissionDeniedError, "permission_error"),
    429: (anthropic.RateLimitError, "rate_limit_error"),
}


def client_of(desk, secret: str, **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=desk.base, api_key=secret, **more)


def message(client) -> str:
    done = client.messages.create(**MESSAGES, max_tokens=16)
    assert done.usage.input_tokens > 0 and done.usage.output_tokens > 0
    return done.content[0].text


def message_streamed(client) -> str:
    with client.messages.stream(**MESSAGES, max_tokens=16) as stream:
        text = "".join(stream.text_stream)
        done = stream.get_final_message()
    assert done.stop_reason and done.usage.output_tokens > 0
    return text


def message_events(client) -> str:
    events = list(client.messages.create(**MESSAGES, max_tokens=16, stream=True))
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


EVERY = [pytest.param(call, id=call.__name__) for call in (message, message_streamed, message_events)]


@pytest.mark.parametrize("call", EVERY)
def test_a_good_key_is_answered_and_its_spend_appears(desk, call):
    key = desk.create_key(f"anthropic {call.__name__}")
    mark = desk.mark()
    assert call(client_of(desk, key.secret))
    assert desk.answered(mark) == [("POST", "/v1/messages", 200)]
    requests, tokens = eventually("one request on the key's page", 1, lambda: (s := spent(desk, key))[0] and s)
    assert requests == 1 and tokens > 0
    assert desk.spent_nanos(key) == tokens * 100_000


def test_tokens_are_counted_and_cost_nothing(desk):
    key = desk.create_key("anthropic count")
    assert client_of(desk, key.secret).messages.count_tokens(**MESSAGES).input_tokens > 0
    assert desk.spent_nanos(key) == 0


def test_an_answer_carries_its_number(desk):
    key = desk.create_key("anthropic headers")
    raw = client_of(desk, key.secret).messages.with_raw_response.create(**MESSAGES, max_tokens=16)
    assert re.fullmatch(r"[0-9A-Za-z_-]{8,64}", raw.headers["x-request-id"])


@pytest.mark.parametrize("rejection", REFUSALS, ids=lambda rejection: rejection.state)
@pytest.mark.parametrize("call", EVERY)
def test_a_refused_key_raises_its_error_and_is_asked_once(desk, keys, call, rejection):
    secret, key = keys.refused(rejection.state)
    mark = desk.mark()
    wanted, kind = ERRORS[rejection.status]
    with pytest.raises(wanted) as raised:
        call(client_of(desk, secret))
    error = raised.value
    said = error.body["error"]
    assert said["type"] == kind
    assert re.search(pattern(rejection, desk, key), said["message"]), said
    assert error.body["request_id"] == error.response.headers["x-request-id"]
    assert error.response.headers["x-should-retry"] == "false"
    assert secret not in str(error)
    assert desk.answered(mark) == [("POST", "/v1/messages", rejection.status)]


@pytest.mark.parametrize("call", EVERY)
def test_a_rate_limited_key_is_told_when_to_ask_again(desk, keys, call):
    key = keys.rate_limited()
    with pytest.raises(anthropic.RateLimitError) as raised:
        call(client_of(desk, key.secret, max_retries=0))
    error = raised.value
    assert re.search(pattern(RATE_LIMITED, desk, key), error.body["error"]["message"]), error.body
    assert 1 <= int(error.response.headers["retry-after"]) <= 59
    assert error.response.headers.get("x-should-retry") != "false"


def test_a_key_as_the_desk_shows_it_is_known_for_what_it_is(desk):
    key = desk.create_key("anthropic shown")
    # Older clients cannot put … into a header, and send nothing.
    with pytest.raises((anthropic.AuthenticationError, UnicodeEncodeError)) as raised:
        message(client_of(desk, key.hint))
    if isinstance(raised.value, anthropic.AuthenticationError):
        assert "The key is masked" in raised.value.body["error"]["message"]
    answer = ask(f"{desk.base}/v1/messages", key.hint.encode(), body={**MESSAGES, "max_tokens": 16})
    assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")
    assert "The key is masked" in answer.json["error"]["message"]


def test_the_list_of_models_is_what_the_key_may_use(desk):
    serve(desk)
    key = desk.create_key("anthropic models", scope="listed", models=[], patterns="claude-*\ngpt-*")
    # What is served in another protocol cannot be called with this client.
    assert [model.id for model in client_of(desk, key.secret).models.list()] == [SERVED["anthropic"]]
    every = [model.id for model in client_of(desk, desk.create_key("anthropic every").secret).models.list()]
    assert MODEL in every
