"""`llmflow run` as CI runs it: real commands, real SDKs, a fake upstream, and what is told of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from fake_upstream import FakeUpstream, answer
from run_help import PATIENCE_S, environment, python, run, words

CALL = """
import json, os, urllib.request
def call(stream=False, model="gpt-4o-mini"):
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer k"}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
        return answer.read()
"""


def test_the_command_is_left_as_it_is(tmp_path: Path) -> None:
    """Its input, output and exit code pass through; its LLMFlow, and the folder it had, are gone afterwards."""
    script = "import os, sys; print(os.environ['LLMFLOW_PROXY']); print(sys.stdin.read().upper()); sys.exit(7)"
    temp = tmp_path / "temp"
    temp.mkdir()
    done = run([], python(script), environment(tmp_path, TMPDIR=str(temp)), stdin="read me")
    proxy, said = done.out.splitlines()
    assert (done.code, said) == (7, "READ ME")
    assert "no calls were recorded" in done.err
    assert list(temp.iterdir()) == []
    assert list(tmp_path.iterdir()) == [temp]  # no ~/.llmflow either
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(proxy.rpartition(":")[2])), 5).close()


@pytest.mark.skipif(os.name != "posix", reason="descriptors as POSIX has them")
def test_what_a_shell_hands_over_reaches_the_command(tmp_path: Path) -> None:
    """A pipe beside the three streams (make's job server, a shell's <(…)) is the command's; none of ours is."""
    script = """
import os, sys
def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
given = int(sys.argv[1])
print(os.read(given, 9), [number for number in range(3, 256) if is_open(number) and number != given])
"""
    ours, theirs = os.pipe()
    os.write(theirs, b"hello")
    command = words([], [*python(script), str(ours)])
    with subprocess.Popen(command, pass_fds=[ours], env=environment(tmp_path), stdout=-1, stderr=-1) as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
    os.close(theirs)
    os.close(ours)
    assert said == b"b'hello' []\n"


def test_calls_are_summed_up_in_every_form(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The upstream that was set is told and used; table, files and job summary agree."""
    script = f"{CALL}\ncall(); call(stream=True); call(model='nobody-knows-me')\n"
    summary = tmp_path / "summary.md"
    summary.write_text("# Before\n", encoding="utf-8")
    env = environment(tmp_path, OPENAI_BASE_URL=f"{upstream.url}/v1", GITHUB_STEP_SUMMARY=str(summary))
    files = {form: tmp_path / f"report.{form}" for form in ("json", "md", "junit")}
    options = [word for form, path in files.items() for word in ("--report", f"{form}={path}")]
    done = run(options, python(script), env)
    assert done.code == 0, done.err
    assert f"openai is {upstream.url}/v1 (set by the environment variable OPENAI_BASE_URL)" in done.err
    assert "gpt-4o-mini" in done.err
    assert "no price is known for 1 call of nobody-knows-me" in done.err
    report = json.loads(files["json"].read_text(encoding="utf-8"))
    assert (report["totals"]["calls"], report["totals"]["errors"], report["totals"]["unpriced_calls"]) == (3, 0, 1)
    assert report["totals"]["cost"] > 0
    assert len(upstream.requests) == 3
    assert "| openai | gpt-4o-mini" in files["md"].read_text(encoding="utf-8")
    assert summary.read_text(encoding="utf-8").startswith("# Before\n\n### LLM calls\n")
    cases = ET.fromstring(files["junit"].read_text(encoding="utf-8")).iter("testcase")
    assert any("gpt-4o-mini" in case.attrib["name"] for case in cases)


def test_a_cassette_plays_without_an_upstream(tmp_path: Path) -> None:
    """What one run recorded, the next one answers with: the upstream is down, no key is there, the output is the same."""
    cassette = tmp_path / "calls.jsonl"
    command = python(f"{CALL}\nprint(call()); print(call(stream=True))")
    with FakeUpstream.openai() as upstream:
        env = environment(tmp_path, OPENAI_BASE_URL=f"{upstream.url}/v1")
        recorded = run(["--cassette", str(cassette), "--cassette-mode", "record"], command, env)
    assert recorded.code == 0, recorded.err
    played = run(["--cassette", str(cassette)], command, env)
    assert (played.code, played.out) == (0, recorded.out), played.err
    assert "gpt-4o-mini" in played.err


def test_a_folder_is_kept_and_only_this_run_is_told_of(upstream: FakeUpstream, tmp_path: Path) -> None:
    """With --data-dir two runs are in one database; the second one's report has its own calls alone."""
    env = environment(tmp_path, OPENAI_BASE_URL=f"{upstream.url}/v1")
    report = tmp_path / "r.json"
    options = ["--data-dir", str(tmp_path / "kept"), "--quiet", "--report", "json", str(report)]
    assert run(options, python(f"{CALL}\ncall(); call()"), env).err == ""
    assert json.loads(report.read_text(encoding="utf-8"))["totals"]["calls"] == 2
    run(options, python(f"{CALL}\ncall()"), env)
    assert json.loads(report.read_text(encoding="utf-8"))["totals"]["calls"] == 1
    assert (tmp_path / "kept" / "llmflow.db").exists()


def test_a_folder_that_is_in_use_is_refused(flow, tmp_path: Path) -> None:
    """The refusal names who holds it, and the way out; the command is not run."""
    done = run(["--data-dir", str(flow.config.data_dir)], python("print('ran')"), environment(tmp_path))
    assert (done.code, done.out) == (1, "")
    assert flow.proxy_url.rpartition(":")[2] in done.err
    assert "Without --data-dir" in done.err


def test_a_base_url_that_is_ours_is_refused(tmp_path: Path) -> None:
    """A call that would come back to us is refused before the command runs, by a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = environment(tmp_path, OPENAI_BASE_URL=f"http://localhost:{port}/v1")
    done = run(["--proxy-port", str(port)], python("print('ran')"), env)
    assert (done.code, done.out) == (2, "")
    assert "OPENAI_BASE_URL" in done.err
    assert "a call would come back for ever" in done.err


def test_what_the_usual_server_is_set_to_does_not_count(tmp_path: Path) -> None:
    """Ports, folder, host and token of the environment are those of another server."""
    env = environment(
        tmp_path,
        LLMFLOW_PROXY_PORT="1",
        LLMFLOW_HOST="0.0.0.0",
        LLMFLOW_TOKEN="a-token-of-theirs",
        DATA_DIR=str(tmp_path / "theirs"),
    )
    assert run([], python(""), env).code == 0
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize(
    ("options", "command", "code", "said"),
    [
        ([], ["no-such-command-at-all"], 127, "there is no such command"),
        ([], ["/"], 126, "cannot be run"),
        (["--max-age", "soon"], ["true"], 2, "max_age (set by --max-age)"),
        (["--report", "html=x"], ["true"], 2, "is not one of md=FILE, json=FILE, junit=FILE"),
        (["--report", "md=/no/such/folder/x.md"], ["true"], 2, "its folder is missing"),
        (["--kill-after", "soon"], ["true"], 2, "'soon' is not a time"),
        ([], [], 2, "the command has to stand behind --"),
    ],
)
def test_what_does_not_run_has_its_code(
    tmp_path: Path, options: list[str], command: list[str], code: int, said: str
) -> None:
    """A command that is not found, cannot be run, or stands in the wrong place; a wrong option."""
    done = run(options, command, environment(tmp_path))
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def test_telemetry_is_kept_and_goes_on(tmp_path: Path) -> None:
    """The command's exporter reports here; the backend it was set to gets the same spans, with its headers."""
    script = """
import json, os, urllib.request
span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "chat gpt-4o-mini",
    "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000", "attributes": [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 1000}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 10}}]}
body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
url = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})).read()
"""
    with FakeUpstream(answer(200, body=b"", content_type="application/x-protobuf")) as backend:
        env = environment(
            tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=backend.url, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20key"
        )
        done = run([], python(script), env)
        assert done.code == 0, done.err
        assert f"telemetry goes on to {backend.url}" in done.err
        assert "1.0k" in done.err
        (request,) = [one for one in backend.requests if one.path == "/v1/traces"]
        assert request.header("authorization") == "Bearer key"


SDKS = """
import anthropic, cohere, ollama, openai
from google import genai
message = {"role": "user", "content": "hi"}
chat = openai.OpenAI().chat.completions
chat.create(model="gpt-4o-mini", messages=[message])
for event in chat.create(model="gpt-4o-mini", messages=[message], stream=True):
    pass
anthropic.Anthropic().messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=[message])
gemini = genai.Client()
gemini.models.generate_content(model="gemini-2.5-flash", contents="hi")
cohere.ClientV2().chat(model="command-a-03-2025", messages=[message])
ollama.chat(model="llama3.2", messages=[message])
"""


@pytest.mark.sdk
def test_sdks_find_their_way_by_themselves(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The vendors' own SDKs, told nothing, are recorded on their way to where they would have gone; the proxy that
    the environment names stands in no one's way.
    """
    from anthropic_server import AnthropicLike
    from cohere_like import cohere_like
    from gemini_like import GeminiLike
    from ollama_like import ollama_like

    report = tmp_path / "report.json"
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    with (
        FakeUpstream(AnthropicLike()) as anthropic,
        FakeUpstream(GeminiLike()) as gemini,
        FakeUpstream(cohere_like) as cohere,
        FakeUpstream(ollama_like) as ollama,
    ):
        env = environment(
            tmp_path,
            OPENAI_BASE_URL=f"{upstream.url}/v1",
            ANTHROPIC_BASE_URL=anthropic.url,
            GOOGLE_GEMINI_BASE_URL=gemini.url,
            CO_API_URL=cohere.url,
            OLLAMA_HOST=ollama.url,
            **nowhere,
        )
        done = run(["--report", f"json={report}"], python(SDKS), env)
        assert done.code == 0, done.err
        asked = [len(one.requests) for one in (upstream, anthropic, gemini, cohere, ollama)]
    assert asked == [2, 1, 1, 1, 1]
    lines = json.loads(report.read_text(encoding="utf-8"))["models"]
    assert {line["provider"]: line["calls"] for line in lines} == {
        "openai": 2, "anthropic": 1, "gemini": 1, "cohere": 1, "ollama": 1,
    }  # fmt: skip
    assert all(line["errors"] == 0 and line["completion_tokens"] > 0 for line in lines)
