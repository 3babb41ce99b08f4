"""Azure: where a call goes, with which key, and what its filters and errors look like."""

import pytest
from adapter_help import CUTS, body_of, facts, json_values, price_book, run, stream_of
from hypothesis import given, settings
from llmflow_web.providers.azure import AZURE
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llmflow_web.errors import BadRequest, ConfigError
from llmflow_web.provider import Event, Target
from llmflow_web.wire.sse import SSEDecoder, UsageChunkFilter

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}
CLASSIC = "https://r.openai.azure.com"


def path(asked: str, url: str = CLASSIC, body: dict | None = None, **options: str) -> str:
    named = {name.replace("_version", "-version"): value for name, value in options.items()}
    return AZURE.path(asked, CHAT if body is None else body, Target(url, options=named))


@pytest.mark.parametrize(
    ("url", "asked", "expected"),
    [
        (CLASSIC, "/v1/chat/completions", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
        (f"{CLASSIC}/openai", "/v1/embeddings", "/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21"),
        (CLASSIC, "/v1/audio/speech", "/openai/deployments/gpt-4o/audio/speech?api-version=2024-10-21"),
        (CLASSIC, "/v1/responses", "/openai/responses?api-version=2024-10-21"),
        (CLASSIC, "/v1/models", "/openai/models?api-version=2024-10-21"),
        (CLASSIC, "/v1/files?limit=2", "/openai/files?limit=2&api-version=2024-10-21"),
        (CLASSIC, "/v1/models?api-version=x", "/openai/models?api-version=x"),
        (f"{CLASSIC}/openai/v1", "/v1/chat/completions", "/openai/v1/chat/completions"),
        (f"{CLASSIC}/openai/v1", "/v1/models?a=b", "/openai/v1/models?a=b"),
        ("https://gw.example.org/azure", "/v1/models", "/azure/openai/models?api-version=2024-10-21"),
        (
            f"{CLASSIC}/openai/deployments/mine",
            "/v1/chat/completions",
            "/openai/deployments/mine/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://r.services.ai.azure.com/models",
            "/v1/chat/completions",
            "/models/chat/completions?api-version=2024-05-01-preview",
        ),
    ],
)
def test_paths(url, asked, expected):
    """The base URL decides the form: deployments with a version, the v1 path, Foundry's own route."""
    assert path(asked, url) == expected


@pytest.mark.parametrize(
    ("url", "version", "query"),
    [
        (CLASSIC, "2025-04-01-preview", "?api-version=2025-04-01-preview"),
        (f"{CLASSIC}/openai/v1", "preview", "?api-version=preview"),
        (f"{CLASSIC}/openai/v1", "2024-10-21", ""),
    ],
)
def test_versions(url, version, query):
    """The configured version counts; the v1 path takes only one that has no date."""
    assert path("/v1/responses", url, api_version=version).partition("/responses")[2] == query


@pytest.mark.parametrize(
    ("model", "deployment"),
    [("gpt-4o", "mine"), ("gpt-4.1", "gpt-4.1"), ("gpt-3.5-turbo", "gpt-35-turbo"), ("a/../b", "a%2F..%2Fb")],
)
def test_deployments(model, deployment):
    """AZURE_DEPLOYMENT_<MODEL> names the deployment, else the model does; nothing leaves its part of the path."""
    asked = path("/v1/chat/completions", body={"model": model}, AZURE_DEPLOYMENT_GPT_4O="mine")
    assert asked.startswith(f"/openai/deployments/{deployment}/chat/completions?")


@pytest.mark.parametrize("model", [None, "", "..", 5])
def test_a_deployment_must_be_named(model):
    """Without a model there is no deployment to ask."""
    with pytest.raises(BadRequest, match="model"):
        path("/v1/chat/completions", body={"model": model})


def test_no_resource():
    """As long as no resource is named nothing is sent anywhere, and the answer says what to set."""
    with pytest.raises(BadRequest, match="AZURE_OPENAI_RESOURCE"):
        path("/v1/models", AZURE.root)


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, None),
        ({"AZURE_OPENAI_RESOURCE": "mine"}, "https://mine.openai.azure.com"),
        ({"AZURE_OPENAI_RESOURCE": "mine", "AZURE_OPENAI_ENDPOINT": "https://e.example.org/openai/v1/"}, "https://e.example.org/openai/v1"),
    ],
)  # fmt: skip
def test_where_the_environment_puts_it(env, url):
    """An endpoint is taken as it is, a resource becomes one."""
    assert AZURE.place(env).url == url


def test_options_of_the_environment():
    """Versions and the map of deployments become options; AZURE_OPENAI_API_VERSION is the nearer of the two names."""
    env = {"OPENAI_API_VERSION": "a", "AZURE_OPENAI_API_VERSION": "b", "AZURE_DEPLOYMENT_GPT_4": "d", "HOME": "/"}
    assert AZURE.place(env).options == {"api-version": "b", "AZURE_DEPLOYMENT_GPT_4": "d"}
    assert AZURE.place({"OPENAI_API_VERSION": "a"}).options == {"api-version": "a"}


@pytest.mark.parametrize(
    ("version", "inject"),
    [
        ("2024-06-01", False),
        ("2024-02-01", False),
        ("2024-09-01-preview", None),
        ("2024-10-21", None),
        ("preview", None),
    ],
)
def test_old_versions_are_not_asked_for_usage(version, inject):
    """`stream_options` is refused by versions before September 2024."""
    assert AZURE.place({"OPENAI_API_VERSION": version}).inject_usage is inject


def test_a_bad_resource_is_no_start():
    """What cannot be part of a host is refused by name."""
    with pytest.raises(ConfigError, match="AZURE_OPENAI_RESOURCE"):
        AZURE.place({"AZURE_OPENAI_RESOURCE": "evil.example.org/"})


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({}, None),
        ({"x-azure-resource": "one", "x-llmflow-azure-resource": "two"}, "https://one.openai.azure.com"),
        ({"x-llmflow-azure-resource": " Two "}, "https://two.openai.azure.com"),
    ],
)
def test_headers_choose_a_resource(headers, url):
    """Either header names a resource."""
    assert AZURE.url_from(headers) == url


@pytest.mark.parametrize("name", ["a", "-ab", "a.b", "a/b", "a@b", "a" * 64, "evil.example.org#", "ü-x", "a b"])
def test_headers_choose_no_host(name):
    """A name that could lead elsewhere is refused."""
    with pytest.raises(BadRequest):
        AZURE.url_from({"x-azure-resource": name})


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("0123456789abcdef", ("api-key", "0123456789abcdef")),
        ("eyJhbGciOi.eyJhdWQi.c2ln", ("authorization", "Bearer eyJhbGciOi.eyJhdWQi.c2ln")),
        ("eyJnotatoken", ("api-key", "eyJnotatoken")),
    ],
)
def test_keys_and_tokens(key, header):
    """Entra's tokens travel as bearer, keys as api-key."""
    assert AZURE.authorize(key) == (header,)


@pytest.mark.parametrize(
    ("asked", "body", "operation", "model"),
    [
        ("/openai/deployments/my%20d/chat/completions?api-version=1", {}, "chat", "my d"),
        ("/openai/deployments/d/embeddings", {"model": "m"}, "embeddings", "m"),
        ("/openai/v1/responses", {"model": "m"}, "chat", "m"),
        ("/models/chat/completions", {"model": "m"}, "chat", "m"),
    ],
)
def test_what_is_asked(asked, body, operation, model):
    """On native paths the deployment stands for a model the body does not name."""
    native = AZURE.native("POST", asked, body)
    assert (native.operation, native.model) == (operation, model)
    assert AZURE.is_native(asked)


def test_foundry_serves_anthropic_too():
    """What goes to /anthropic is read as Anthropic's."""
    assert AZURE.dialect("https://r.services.ai.azure.com/anthropic/v1/messages", {}) == "anthropic"
    assert AZURE.dialect("https://r.openai.azure.com/openai/v1/responses", {}) == "azure"


def test_streamed_is_not_streamed():
    """The filter's first chunk, its verdicts after the finish and the usage make the whole answer."""
    data, body = stream_of("azure/chat_filtered"), body_of("azure/chat_filtered")
    machine = AZURE.stream("chat", CHAT)
    run(machine, data)
    assert facts(machine.result) == facts(AZURE.answer("chat", CHAT, body))
    made = dict(machine.result.body)
    assert made.pop("_streaming") is True
    assert made.pop("_chunks") == machine.count == 7
    assert made == body
    assert (machine.is_complete, machine.first_content) == (True, 2)
    ChatCompletion.model_validate(made)


@given(cuts=CUTS)
@settings(max_examples=25, deadline=None)
def test_any_cut(cuts):
    """However the bytes come, the answer is the same; every prefix has one."""
    data = stream_of("azure/chat_filtered")
    machine, other = AZURE.stream("chat", CHAT), AZURE.stream("chat", CHAT)
    run(machine, data)
    run(other, data, *cuts)
    assert other.result.body == machine.result.body
    prefix = AZURE.stream("chat", CHAT)
    run(prefix, data[: cuts[0] if cuts else 0])
    assert machine.result.text.startswith(prefix.result.text)


def test_filters_reach_the_client():
    """Only the usage chunk we asked for is taken out; the verdict on the prompt, without choices too, stays."""
    data = stream_of("azure/chat_filtered")
    usage_filter = UsageChunkFilter()
    left = usage_filter.feed(data) + usage_filter.finish()
    assert usage_filter.removed == 1
    assert left.count(b"prompt_filter_results") == 1
    assert left.count(b"content_filter_offsets") == 1
    decoder = SSEDecoder()
    chunks: list[Event] = decoder.feed(left) + decoder.finish()
    ChatCompletionChunk.model_validate_json(chunks[1].data)


def test_what_a_call_costs():
    """The model that answered is priced, not the deployment asked for; an unknown one has no price."""
    usage = AZURE.usage(body_of("azure/chat_filtered"), {})
    cost = price_book().price(AZURE, ["gpt-4o-2024-08-06", "my-deployment"], usage)
    assert (cost.total, cost.price_key) == (
        pytest.approx(11 * 2.5e-06 + 4 * 1e-05),
        "azure/global-standard/gpt-4o-2024-08-06",
    )
    assert price_book().price(AZURE, ["my-deployment"], usage).total is None


BLOCKED = {"error": {"code": "content_filter", "message": "The prompt was filtered.", "param": "prompt", "type": None, "status": 400,
           "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {
               "hate": {"filtered": True, "severity": "high"}, "violence": {"filtered": False, "severity": "safe"},
               "jailbreak": {"filtered": False, "detected": True}}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (400, BLOCKED, "The prompt was filtered. (content_filter): hate, jailbreak"),
        (404, {"error": {"code": "DeploymentNotFound", "message": "None such."}}, "None such. (DeploymentNotFound)"),
        (401, {"error": {"code": "401", "message": "Access denied."}}, "Access denied. (401)"),
        (401, {"statusCode": 401, "message": "Unauthorized."}, "Unauthorized. (401)"),
        (502, "<title>Bad gateway</title>", "Bad gateway"),
    ],
)
def test_errors(status, body, sentence):
    """Every form of error makes a sentence, with the filters that struck."""
    assert AZURE.error(status, body) == sentence


def test_the_gateways_errors_get_an_envelope():
    """Azure's own envelope stays as it is; the flat form becomes one."""
    assert AZURE.translate_error(400, BLOCKED) == BLOCKED
    made = AZURE.translate_error(401, {"statusCode": 401, "message": "Unauthorized."})
    assert (made["error"]["message"], made["error"]["code"]) == ("Unauthorized.", "401")


@given(
    json_values("error", "message", "statusCode", "innererror", "content_filter_result", "hate", "filtered", "model")
)
@settings(max_examples=150, deadline=None)
def test_no_foreign_body_raises(body):
    """Whatever comes makes a sentence, an envelope and an answer."""
    body = body if isinstance(body, dict) else {"error": body}
    assert isinstance(AZURE.error(500, body), str)
    assert "error" in AZURE.translate_error(500, body)
    AZURE.answer("chat", {}, body)
    AZURE.native("POST", "/openai/deployments/x/chat/completions", body)
