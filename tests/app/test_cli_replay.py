"""`llmflow replay`: beside a running server, and straight on the data directory."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from fake_upstream import FakeUpstream, answer

import llmflow
from llmflow_web.app import cli

ASKED = {"model": "gpt-4o-mini", "temperature": 0.5, "messages": [{"role": "user", "content": "Why?\x1b[31m"}]}


@pytest.fixture
def upstream():
    with FakeUpstream.openai() as upstream:
        yield upstream


def record(flow: llmflow.Flow) -> str:
    """Send a call and return its id."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-old"}
    request = urllib.request.Request(flow.openai_base_url + "/chat/completions", json.dumps(ASKED).encode(), headers)
    with opener.open(request, timeout=60) as answered:
        answered.read()
    return str(flow.calls()[-1]["id"])


def test_beside_a_running_server(upstream: FakeUpstream, tmp_path: Path, capsys, monkeypatch) -> None:
    """The call goes through the running server with the key of our environment, and both results are shown."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    with llmflow.serve(data_dir=tmp_path, upstreams={"openai": upstream.url}, env={}) as flow:
        key = record(flow)
        told = [
            "replay",
            key[:10],
            "--model",
            "gpt-4o",
            "--set",
            "temperature=null",
            "--set",
            "user=me",
            "--tag",
            "again",
        ]
        assert cli.run([*told, "--data-dir", str(tmp_path)]) == 0
        text = capsys.readouterr().out
        sent = upstream.requests[-1]
        assert sent.json() == {"model": "gpt-4o", "messages": ASKED["messages"], "user": "me"}
        assert sent.header("authorization") == "Bearer sk-mine"
        new = flow.calls()[-1]
        assert (new["replay_of"], new["tags"]) == (key, ["again"])
        assert f"llmflow diff {key} {new['id']}" in text
        assert "\x1b" not in text
        assert cli.run(["replay", key, "--dry-run", "--data-dir", str(tmp_path)]) == 0
        assert json.loads(capsys.readouterr().out) == ASKED


def test_without_a_server(upstream: FakeUpstream, tmp_path: Path, capsys) -> None:
    """With nobody there a server is started for the one call; --json gives the new call whole."""
    with llmflow.serve(data_dir=tmp_path, upstreams={"openai": upstream.url}) as flow:
        key = record(flow)
    (tmp_path / "llmflow.toml").write_text(f'[upstream.openai]\nurl = "{upstream.url}"\n')
    assert cli.run(["replay", key, "--stream", "--json", "--data-dir", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trace"]["replay_of"] == key
    assert told["trace"]["is_stream"] is True
    upstream.script(answer(401, body=b'{"error":{"message":"no","type":"x","param":null,"code":null}}'))
    assert cli.run(["replay", key, "--data-dir", str(tmp_path)]) == 1
    assert "401" in capsys.readouterr().out


def test_what_is_wrong(tmp_path: Path, capsys) -> None:
    """No data, a flag that makes no sense: one sentence and an exit code."""
    assert cli.run(["replay", "abc", "--data-dir", str(tmp_path)]) == 1
    assert cli.run(["replay", "abc", "--set", "nonsense", "--data-dir", str(tmp_path)]) == 2
    assert cli.run(["replay", "abc", "--body", str(tmp_path / "none"), "--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("llmflow:") == 3
