"""The fake upstream is trusted by every other test, so it is tried with the official SDK first."""

from __future__ import annotations

import pytest
from fake_upstream import FakeUpstream
from openai_like import SPEECH, TEXT

openai = pytest.importorskip("openai")

TOOL = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def upstream():
    with FakeUpstream.openai() as running:
        yield running


@pytest.fixture(scope="module")
def client(upstream):
    with openai.OpenAI(base_url=upstream.url + "/v1", api_key="sk-test", max_retries=0) as made:
        yield made


def ask(client, **more):
    return client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Why is the sky blue?"}], **more
    )


def test_chat(client):
    """A chat completion parses, with text, usage and a dated model."""
    answer = ask(client)
    assert answer.choices[0].message.content == TEXT
    assert (answer.usage.total_tokens, answer.model) == (44, "gpt-4o-mini-2024-07-18")


@pytest.mark.parametrize("wants_usage", [True, False])
def test_chat_stream(client, wants_usage):
    """A streamed chat gives the same text; the usage chunk comes only when it was asked for."""
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    chunks = list(ask(client, stream=True, **options))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
    assert [c.usage.total_tokens for c in chunks if c.usage] == ([44] if wants_usage else [])


def test_chat_tools(client):
    """A tool is called first, streamed or not, with arguments after its schema."""
    tools = [{"type": "function", "function": TOOL}]
    call = ask(client, tools=tools).choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
    with client.chat.completions.stream(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}], tools=tools
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city": "Paris"}'
    assert final.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("model", ["gpt-4o-mini", "o4-reasoning"])
def test_responses(client, model):
    """A response parses, streamed or not, and both carry the same text and usage."""
    whole = client.responses.create(model=model, input="Why?")
    with client.responses.stream(model=model, input="Why?") as stream:
        names = [event.type for event in stream]
        final = stream.get_final_response()
    assert whole.output_text == final.output_text == TEXT
    assert whole.usage == final.usage
    assert (names[0], names[-1]) == ("response.created", "response.completed")


def test_responses_tools(client):
    """A response calls the tool, with its arguments in pieces."""
    with client.responses.stream(model="m", input="?", tools=[{"type": "function", **TOOL}]) as stream:
        final = stream.get_final_response()
    assert (final.output[0].call_id, final.output[0].arguments) == ("call_0", '{"city": "Paris"}')


def test_the_rest(client):
    """Completions, embeddings in both forms, images, audio, moderation, files and models parse."""
    assert client.completions.create(model="m", prompt="x").choices[0].text == TEXT
    streamed = client.completions.create(model="m", prompt="x", stream=True)
    assert "".join(c.choices[0].text for c in streamed) == TEXT
    packed = client.embeddings.create(model="e", input=["a", "b"])
    plain = client.embeddings.create(model="e", input=["a", "b"], encoding_format="float")
    assert [r.embedding for r in packed.data] == [r.embedding for r in plain.data]
    assert client.images.generate(model="gpt-image-1", prompt="x").data[0].b64_json
    assert client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF")).text == TEXT
    assert client.audio.speech.create(model="tts-1", voice="alloy", input="x").read() == SPEECH
    assert client.moderations.create(input="x").results[0].flagged is False
    assert client.files.create(file=("a.jsonl", b"\x00\r\n--\xff"), purpose="batch").bytes == 6
    assert next(iter(client.models.list())).id == "gpt-4o-mini"


def test_errors(client, upstream):
    """Errors are steered by the model's name; an unknown path is 404."""
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="error-429", messages=[])
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="html-502", messages=[])
    assert caught.value.status_code == 502
    with pytest.raises(openai.NotFoundError):
        client.post("/nothing", cast_to=object, body={})
    assert upstream.requests[-1].header("authorization") == "Bearer sk-test"
