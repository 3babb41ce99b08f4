"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from fake_upstream import FakeUpstream

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent.parent
PLUGIN = "llmflow_web.app.pytest_plugin"
NO_PROVIDER = "http://127.0.0.1:9"

HELP = """
import json, os, urllib.request

def ask(text, base=None, **more):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}
    url = (base or os.environ["OPENAI_BASE_URL"]) + "/chat/completions"
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read())

def said(answer):
    return answer["choices"][0]["message"]["content"]
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """A suite of tests of the user's; `.run(*options)` runs it as a program of its own, warnings as errors."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{pytester.path}")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", NO_PROVIDER + "/v1")
    pytester.makepyfile(helping=HELP)
    pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n")

    def run(*options: str, at: str = NO_PROVIDER):
        monkeypatch.setenv("OPENAI_BASE_URL", at + "/v1")
        return pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider", *options, timeout=120)

    pytester.run_suite = run
    return pytester


@pytest.fixture
def upstream():
    with FakeUpstream.openai() as server:
        yield server


TESTS = """
    import os
    import pytest
    from helping import ask, said

    def test_fixture(llmflow_cassette):
        assert "blue" in said(ask("Why is the sky blue?"))
        assert llmflow_cassette.openai_base_url == os.environ["OPENAI_BASE_URL"]
        (call,) = llmflow_cassette.calls()
        assert call["status"] == 200
        assert llmflow_cassette.cost() >= 0
        assert os.environ["ANTHROPIC_BASE_URL"] == llmflow_cassette.anthropic_base_url
        assert os.environ["GOOGLE_GEMINI_BASE_URL"] == llmflow_cassette.gemini_base_url

    @pytest.mark.llmflow_cassette("shared/one")
    def test_marker():
        assert "blue" in said(ask("Why is the sky blue?"))

    @pytest.mark.llmflow_cassette
    @pytest.mark.parametrize("what", ["sea/ö", "sky"])
    def test_parameters(what):
        assert said(ask(f"Why is the {what} blue?"))

    class TestClass:
        @pytest.mark.llmflow_cassette
        def test_method(self):
            assert said(ask("Method"))

    def test_without():
        assert os.environ["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
        assert "LLMFLOW_PROXY" not in os.environ
"""


def test_record_then_replay(suite, upstream):
    """What one run records the next ones replay without a provider, one file a test beside it; also in parallel."""
    suite.makepyfile(test_calls=TESTS)
    suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url).assert_outcomes(passed=6)
    assert len(upstream.requests) == 5
    folder = suite.path / "cassettes"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jsonl"))
    assert names[:3] == ["shared/one.jsonl", "test_calls/TestClass.test_method.jsonl", "test_calls/test_fixture.jsonl"]
    assert names[4:] == ["test_calls/test_parameters[sky].jsonl"]
    assert len(names) == 5
    suite.run_suite().assert_outcomes(passed=6)
    suite.run_suite("-p", "xdist", "-n", "2").assert_outcomes(passed=6)
    assert len(upstream.requests) == 5


def test_a_miss(suite, upstream):
    """A call that is not recorded fails with what differs and how to record it; hybrid records it."""
    suite.makepyfile("""
        from helping import ask, said
        def test_it(llmflow_cassette):
            answer = ask("Why is the sky blue?")
            assert "choices" in answer, answer["error"]["message"]
    """)
    first = suite.run_suite()
    first.assert_outcomes(failed=1)
    first.stdout.fnmatch_lines(["*has no recordings*--llmflow-cassette-mode=hybrid*"])
    suite.run_suite("--llmflow-cassette-mode=hybrid", at=upstream.url).assert_outcomes(passed=1)
    suite.run_suite().assert_outcomes(passed=1)
    assert len(upstream.requests) == 1


def test_unused_recordings(suite, upstream):
    """Recordings that answer nothing fail the test where that is wanted; recording it again drops them."""
    source = """
        import os, pytest
        from helping import ask
        @pytest.mark.llmflow_cassette(unused="error")
        def test_it():
            ask("one")
            if not os.path.exists("short"):
                ask("two")
    """
    suite.makepyfile(source)
    suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url).assert_outcomes(passed=1)
    (suite.path / "short").touch()
    result = suite.run_suite()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*did not use all of its cassette*", "*line 3: POST openai /v1/chat/completions*"])
    suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url).assert_outcomes(passed=1)
    suite.run_suite().assert_outcomes(passed=1)


def test_a_failed_test_keeps_its_cassette(suite, upstream):
    """A test that fails while it is recorded anew loses nothing it had."""
    suite.makepyfile("""
        import os
        from helping import ask
        def test_it(llmflow_cassette):
            ask("one")
            assert not os.path.exists("fail")
            ask("two")
    """)
    suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url).assert_outcomes(passed=1)
    (tape,) = suite.path.rglob("*.jsonl")
    before = tape.read_bytes()
    (suite.path / "fail").touch()
    suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url).assert_outcomes(failed=1)
    assert tape.read_bytes() == before


def test_keys(suite, upstream, monkeypatch):
    """In replay SDKs find a key where none is set; one that is set stays, and is never recorded."""
    suite.makepyfile("""
        import os
        from helping import ask
        def test_it(llmflow_cassette):
            ask(f"the key is {os.environ['OPENAI_API_KEY']}")
            assert os.environ["ANTHROPIC_API_KEY"]
    """)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    suite.run_suite().assert_outcomes(passed=1)
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-key-of-mine-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-secret-key-0123456789")
    suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url).assert_outcomes(passed=1)
    (tape,) = suite.path.rglob("*.jsonl")
    assert b"secret-key" not in tape.read_bytes()


def test_configuration(suite, upstream):
    """The configuration file names folder, mode and what may differ; a marker has the last word, and a wrong one is told."""
    suite.makeini("[pytest]\nllmflow_cassette_dir = tapes\nllmflow_cassette_ignore =\n    seed\n")
    suite.makepyfile("""
        import os, pytest
        from helping import ask
        def test_it(llmflow_cassette):
            assert "choices" in ask("one", seed=int(os.environ["SEED"]))
        @pytest.mark.llmflow_cassette(mode="rewind")
        def test_mode():
            pass
        @pytest.mark.llmflow_cassette(speed=2)
        def test_argument():
            pass
    """)
    os.environ["SEED"] = "1"
    try:
        suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url)
        assert [path.name for path in (suite.path / "tapes").rglob("*.jsonl")] == ["test_it.jsonl"]
        os.environ["SEED"] = "2"
        result = suite.run_suite()
    finally:
        del os.environ["SEED"]
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*'rewind' is not one of record, replay, hybrid*", "*takes no speed*"])


def test_a_broken_cassette(suite):
    """A broken cassette is named with its line."""
    suite.makepyfile("def test_it(llmflow_cassette):\n    pass")
    tape = suite.path / "cassettes" / "test_a_broken_cassette" / "test_it.jsonl"
    tape.parent.mkdir(parents=True)
    tape.write_text('{"format":"llmflow-cassette","version":1}\n{')
    result = suite.run_suite()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*is broken in line 2*"])


def test_it_loads_nothing(suite):
    """A suite that does not use it pays for no import of the server, and is changed in nothing."""
    suite.makepyfile("""
        import os, sys
        def test_it():
            assert not [name for name in sys.modules if name.startswith("llmflow_web.") and "pytest_plugin" not in name
                        and name != "llmflow_web.app"]
            assert "asyncio" not in sys.modules
            assert "LLMFLOW_PROXY" not in os.environ
    """)
    suite.run_suite("-p", "no:asyncio").assert_outcomes(passed=1)


def test_unittest_and_async(suite, upstream):
    """Markers work on tests of unittest too."""
    suite.makepyfile("""
        import unittest, pytest
        from helping import ask, said
        class TestIt(unittest.TestCase):
            @pytest.mark.llmflow_cassette
            def test_it(self):
                self.assertIn("blue", said(ask("Why?")))
    """)
    suite.run_suite("--llmflow-cassette-mode=record", at=upstream.url).assert_outcomes(passed=1)
    suite.run_suite().assert_outcomes(passed=1)


def test_the_example(suite, monkeypatch):
    """The suite in docs/examples passes from its cassettes alone."""
    pytest.importorskip("openai", reason="the openai SDK is not installed")
    shutil.copytree(ROOT / "docs" / "examples" / "pytest_suite", suite.path / "example")
    result = suite.run_suite("example", "-c", "example/pytest.ini", "--rootdir", "example")
    result.assert_outcomes(passed=4)
