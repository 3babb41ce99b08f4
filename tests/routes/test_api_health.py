"""/api/health, /api/config and the check of providers."""

from routes.api_rig import NOW, ApiRig

from llmflow_web.net.guard import Guard
from llmflow_web.version import VERSION


def test_health_is_the_union(tmp_path) -> None:
    """Health tells what both old versions told, our version, and what was recorded and lost."""
    with ApiRig(tmp_path) as rig:
        found = rig.get("/api/health").json
    assert (found["status"], found["service"], found["version"]) == ("ok", "dashboard", VERSION)
    assert (found["port"], found["proxy_port"], found["traces"]) == (3000, 8080, 42)
    assert found["timestamp"] == NOW * 1000
    assert found["uptime"] >= 0
    assert (found["recorded"], found["lost_rows"], found["lost_bodies"]) == (7, 1, 2)
    assert found["store"] == {"status": "ok", "error": None}


def test_health_without_the_token_is_bare(tmp_path) -> None:
    """With a token set, health without it says only that we are there."""
    with ApiRig(tmp_path, guard=Guard(token="t0ken")) as rig:
        assert rig.get("/api/health").json == {"status": "ok"}
        assert rig.get("/api/health", authorization="Bearer t0ken").json["version"] == VERSION


def test_config(tmp_path) -> None:
    """The dashboard learns ports, version and what is set."""
    with ApiRig(tmp_path) as rig:
        assert rig.get("/api/config").json == {
            "version": VERSION,
            "dashboard_port": 3000,
            "proxy_port": 8080,
            "otlp_port": None,
            "needs_token": False,
            "upstreams": {"openai": "https://api.openai.com/v1"},
            "settings": {"bodies": "on"},
        }


def test_providers(tmp_path) -> None:
    """Each provider with a key is asked in its own way; without one it is unconfigured; failures are told."""
    environ = {"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GROQ_API_KEY": "sk-g"}
    with ApiRig(tmp_path, environ=environ) as rig:
        rig.client.statuses = {"api.openai.com": 200, "api.anthropic.com": 400, "api.groq.com": 401}
        found = rig.get("/api/health/providers").json
        asked = {url: (method, headers, body) for method, url, headers, body in rig.client.asked}
    assert found["summary"] == "2/4 providers healthy"
    providers = found["providers"]
    assert list(providers) == ["openai", "anthropic", "gemini", "groq", "ollama"]
    assert providers["openai"]["status"] == providers["anthropic"]["status"] == "ok"
    assert isinstance(providers["openai"]["latency_ms"], int)
    assert providers["gemini"] == {"status": "unconfigured", "message": "GOOGLE_API_KEY/GEMINI_API_KEY not set"}
    assert (providers["groq"]["status"], providers["groq"]["message"]) == ("error", "HTTP 401")
    assert providers["ollama"] == {"status": "error", "message": "not reachable at localhost:11434"}
    assert asked["https://api.openai.com/v1/models"] == ("GET", {"authorization": "Bearer sk-o"}, b"")
    method, headers, body = asked["https://api.anthropic.com/v1/messages"]
    assert (method, headers["x-api-key"], body) == ("POST", "sk-a", b"{}")
    assert "sk-" not in str(found)


def test_optional_and_incomplete_providers_are_no_faults(tmp_path) -> None:
    """A local server that does not run, and a key without its address, are unconfigured; nobody is asked for the latter."""
    from llmflow_web.routes.api_health import Check

    checks = {
        "vllm": Check((), "GET", "http://127.0.0.1:8000/v1/models", is_local=True, is_optional=True),
        "azure": Check(("AZURE_OPENAI_API_KEY",), "GET", "https://azure.invalid/openai/models", missing="ENDPOINT"),
    }
    with ApiRig(tmp_path, environ={"AZURE_OPENAI_API_KEY": "k"}, checks=checks) as rig:
        found = rig.get("/api/health/providers").json
        assert all("azure" not in url for _, url, *_ in rig.client.asked)
    assert found["summary"] == "0/0 providers healthy"
    assert found["providers"] == {
        "vllm": {"status": "unconfigured", "message": "not reachable at 127.0.0.1:8000"},
        "azure": {"status": "unconfigured", "message": "ENDPOINT not set"},
    }
