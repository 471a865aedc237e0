"""Asks a model through one library, once whole and once streamed, as somebody's script does: what is printed here, errors included, is
what that person reads. `libraries.py NAME MODEL` runs the function NAME, which has the key and the addresses from the environment.

They are used as their own first pages show them: no retries, timeouts or messages of these tests' own."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Iterator

HELLO = "Say hello."


def langchain_openai(model: str, stream: bool) -> Iterator[str]:
    from langchain_openai import ChatOpenAI

    yield from of_langchain(ChatOpenAI(model=model), stream)


def langchain_anthropic(model: str, stream: bool) -> Iterator[str]:
    from langchain_anthropic import ChatAnthropic

    yield from of_langchain(ChatAnthropic(model=model), stream)


def langchain_google(model: str, stream: bool) -> Iterator[str]:
    from langchain_google_genai import ChatGoogleGenerativeAI

    yield from of_langchain(ChatGoogleGenerativeAI(model=model, base_url=os.environ["GOOGLE_GEMINI_BASE_URL"]), stream)


def of_langchain(chat, stream: bool) -> Iterator[str]:
    if stream:
        for part in chat.stream(HELLO):
            yield str(part.text)
    else:
        yield str(chat.invoke(HELLO).text)


def llama_index_openai(model: str, stream: bool) -> Iterator[str]:
    # For models that LlamaIndex does not know; its class for OpenAI refuses them.
    from llama_index.llms.openai_like import OpenAILike

    yield from of_llama_index(OpenAILike(model=model, api_base=os.environ["OPENAI_BASE_URL"], is_chat_model=True), stream)


def llama_index_anthropic(model: str, stream: bool) -> Iterator[str]:
    from llama_index.llms.anthropic import Anthropic

    yield from of_llama_index(Anthropic(model=model, base_url=os.environ["ANTHROPIC_BASE_URL"]), stream)


def of_llama_index(llm, stream: bool) -> Iterator[str]:
    from llama_index.core.llms import ChatMessage

    hello = [ChatMessage(role="user", content=HELLO)]
    if stream:
        for part in llm.stream_chat(hello):
            yield part.delta or ""
    else:
        yield llm.chat(hello).message.content or ""


def litellm(model: str, stream: bool) -> Iterator[str]:
    """Its names of models begin with the protocol. For Google's it does not read where to ask from the environment."""
    import litellm

    more = {"api_base": os.environ["GOOGLE_GEMINI_BASE_URL"] + "/v1beta"} if model.startswith("gemini/") else {}
    answer = litellm.completion(model=model, messages=[{"role": "user", "content": HELLO}], stream=stream, **more)
    if stream:
        for part in answer:
            yield part.choices[0].delta.content or ""
    else:
        yield answer.choices[0].message.content


def pydantic_ai(model: str, stream: bool) -> Iterator[str]:
    from pydantic_ai import Agent

    agent = Agent(model)
    if stream:
        yield from agent.run_stream_sync(HELLO).stream_text(delta=True, debounce_by=None)
    else:
        yield agent.run_sync(HELLO).output


def instructor(model: str, stream: bool) -> Iterator[str]:
    """Answers have a schema. What is streamed are objects, none of them before the text is one."""
    import instructor
    from pydantic import BaseModel

    class Greeting(BaseModel):
        text: str

    client = instructor.from_provider(model)
    hello = [{"role": "user", "content": HELLO}]
    if stream:
        said = ""
        for part in client.create_partial(response_model=Greeting, messages=hello):
            yield (part.text or "").removeprefix(said)
            said = part.text or ""
    else:
        yield client.create(response_model=Greeting, messages=hello).text


def dspy(model: str, stream: bool) -> Iterator[str]:
    import dspy

    dspy.configure(lm=dspy.LM(model))
    predict = dspy.Predict("question -> answer")
    if stream:
        told = dspy.streamify(predict, stream_listeners=[dspy.streaming.StreamListener("answer")], async_streaming=False)
        # It has an answer to the same question already.
        for part in told(question="Say hello once more."):
            if isinstance(part, dspy.streaming.StreamResponse):
                yield part.chunk
    else:
        yield predict(question=HELLO).answer


def main(name: str, model: str) -> int:
    failed = 0
    for stream in (False, True):
        try:
            for part in globals()[name](model, stream):
                print(part, end="", flush=True)
            print()
        except Exception:
            traceback.print_exc()
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
