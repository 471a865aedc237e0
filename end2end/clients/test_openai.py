"""OpenAI's client: every state of a key, whole and streamed, by its own errors; what cannot succeed is asked once."""

from __future__ import annotations

import re

import openai
import pytest

from desk import ask, eventually
from states import MODEL, RATE_LIMITED, REFUSALS, SERVED, WORDS, pattern, serve, spent

CHAT = dict(model=MODEL, messages=[{"role": "user", "content": WORDS}], max_tokens=16)
RESPONSE = dict(model=MODEL, input=WORDS, max_output_tokens=16)
ERRORS = {401: openai.AuthenticationError, 403: openai.PermissionDeniedError, 429: openai.RateLimitError}


def client_of(desk, secret: str, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{desk.base}/v1", api_key=secret, **more)


def chat(client) -> str:
    done = client.chat.completions.create(**CHAT)
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 0
    return done.choices[0].message.content


def chat_streamed(client) -> str:
    chunks = list(client.chat.completions.create(**CHAT, stream=True))
    assert chunks[-1].choices[0].finish_reason
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def chat_streamed_with_usage(client) -> str:
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens > 0
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def response(client) -> str:
    done = client.responses.create(**RESPONSE)
    assert done.usage.total_tokens > 0
    return done.output_text


def response_streamed(client) -> str:
    events = list(client.responses.create(**RESPONSE, stream=True))
    assert events[-1].type in ("response.completed", "response.incomplete"), events[-1]
    assert events[-1].response.usage.total_tokens > 0
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def embedding(client) -> str:
    done = client.embeddings.create(model=MODEL, input=[WORDS, "and another"])
    assert [one.index for one in done.data] == [0, 1] and all(len(one.embedding) > 0 for one in done.data)
    assert done.usage.total_tokens > 0
    return "numbers"


CALLS = {
    "/v1/chat/completions": [chat, chat_streamed, chat_streamed_with_usage],
    "/v1/responses": [response, response_streamed],
    "/v1/embeddings": [embedding],
}
EVERY = [pytest.param(path, call, id=call.__name__) for path, calls in CALLS.items() for call in calls]


@pytest.mark.parametrize("path, call", EVERY)
def test_a_good_key_is_answered_and_its_spend_appears(desk, path, call):
    key = desk.create_key(f"openai {call.__name__}")
    mark = desk.mark()
    assert call(client_of(desk, key.secret))
    assert desk.answered(mark) == [("POST", path, 200)]
    # Both on the page that people read and for the key itself.
    requests, tokens = eventually("one request on the key's page", 1, lambda: (s := spent(desk, key))[0] and s)
    assert requests == 1 and tokens > 0
    assert desk.spent_nanos(key) == tokens * 100_000


def test_an_answer_carries_its_number_and_what_is_left(desk):
    key = desk.create_key("openai headers", rpm="50")
    raw = client_of(desk, key.secret).chat.completions.with_raw_response.create(**CHAT)
    assert re.fullmatch(r"[0-9A-Za-z_-]{8,64}", raw.headers["x-request-id"])
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    assert raw.headers["x-ratelimit-limit-requests"] == "50"
    assert raw.headers["x-ratelimit-remaining-requests"] == "49"


@pytest.mark.parametrize("rejection", REFUSALS, ids=lambda rejection: rejection.state)
@pytest.mark.parametrize("path, call", EVERY)
def test_a_refused_key_raises_its_error_and_is_asked_once(desk, keys, path, call, rejection):
    secret, key = keys.refused(rejection.state)
    mark = desk.mark()
    with pytest.raises(ERRORS[rejection.status]) as raised:
        call(client_of(desk, secret))
    error = raised.value
    assert error.code == rejection.code
    assert re.search(pattern(rejection, desk, key), error.message), error.message
    assert error.request_id == error.response.headers["x-request-id"]
    assert error.response.headers["x-should-retry"] == "false"
    assert secret not in str(error) + error.response.text
    # The client would try a 429 twice more by itself.
    assert desk.answered(mark) == [("POST", path, rejection.status)]


@pytest.mark.parametrize("path, call", EVERY)
def test_a_rate_limited_key_is_told_when_to_ask_again(desk, keys, path, call):
    key = keys.rate_limited()
    with pytest.raises(openai.RateLimitError) as raised:
        call(client_of(desk, key.secret, max_retries=0))
    error = raised.value
    assert error.code == "rate_limit_exceeded"
    assert re.search(pattern(RATE_LIMITED, desk, key), error.message), error.message
    assert 1 <= int(error.response.headers["retry-after"]) <= 59
    assert error.response.headers.get("x-should-retry") != "false"


def test_a_key_as_the_desk_shows_it_is_known_for_what_it_is(desk):
    key = desk.create_key("openai shown")
    # The client itself cannot put … into a header, and sends nothing; others send it as bytes.
    mark = desk.mark()
    with pytest.raises(UnicodeEncodeError):
        chat(client_of(desk, key.hint))
    assert desk.answered(mark) == []
    answer = ask(f"{desk.base}/v1/chat/completions", key.hint.encode(), body=CHAT)
    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
    assert "The key is masked" in answer.json["error"]["message"]
    with pytest.raises(openai.AuthenticationError, match="The key is masked"):
        chat(client_of(desk, key.hint.replace("…", "...")))


def test_the_list_of_models_is_what_the_key_may_use(desk):
    serve(desk)
    key = desk.create_key("openai models", scope="listed", models=[], patterns="gpt-*")
    listed = [model.id for model in client_of(desk, key.secret).models.list()]
    # Others of the catalogue are in its scope, and not served.
    assert listed == [SERVED["openai"]]
    assert client_of(desk, key.secret).models.retrieve(listed[0]).id == listed[0]
    every = [model.id for model in client_of(desk, desk.create_key("openai every").secret).models.list()]
    assert MODEL in every and set(listed) < set(every)


def test_an_unknown_model_is_not_found(desk):
    key = desk.create_key("openai unknown model")
    mark = desk.mark()
    with pytest.raises(openai.NotFoundError) as raised:
        client_of(desk, key.secret).chat.completions.create(**{**CHAT, "model": "nobody-serves-this"})
    assert raised.value.code == "model_not_found"
    assert len(desk.answered(mark)) == 1


def test_a_number_that_a_client_chose_again_costs_again(desk):
    key = desk.create_key("openai number")
    for number in ("req_" + "0" * 31 + "1", "my-own-number-1"):
        for _ in range(2):
            answer = ask(f"{desk.base}/v1/chat/completions", key.secret, headers={"x-request-id": number}, body=CHAT)
            assert answer.status == 200, answer
    assert spent(desk, key)[0] == 4
