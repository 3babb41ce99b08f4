"""Routes, their parameters, what is not there, and errors."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from net.server_kit import answers, serving

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.net.router import Router, percent_decoded, query_params


def ask(router, *lines: bytes):
    """Send requests, return (status, headers, body) of each."""
    data = b"".join(line + b" HTTP/1.1\r\nHost: a\r\n\r\n" for line in lines[:-1])
    data += lines[-1] + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    async def run():
        async with serving(router) as served:
            raw = await served.exchange(data)
            assert served.errors == []
            return raw

    return answers(asyncio.run(run()), *[line.split(b" ")[0] for line in lines])


def say(text):
    return lambda call, **params: call.respond_json(200, [text, params, call.route])


@pytest.fixture
def router():
    """A small table."""
    router = Router()
    router.add("GET", "/api/traces", say("list"))
    router.add("DELETE", "/api/traces", say("clear"))
    router.add("GET", "/api/traces/export", say("export"))
    router.add("GET", "/api/traces/{id}", say("one"))
    router.add("POST", "/api/traces/{id}", say("add"))
    router.add("GET", "/api/{kind}/{id}/tree.json", say("tree"))
    return router


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"GET /api/traces?x=1", ["list", {}, "/api/traces"]),
        (b"DELETE /api/traces", ["clear", {}, "/api/traces"]),
        (b"GET /api/traces/export", ["export", {}, "/api/traces/export"]),
        (b"GET /api/traces/a%2Fb%20%C3%A4", ["one", {"id": "a/b ä"}, "/api/traces/{id}"]),
        (b"POST /api/traces/export", ["add", {"id": "export"}, "/api/traces/{id}"]),
        (b"GET /api/x/y/tree.json", ["tree", {"kind": "x", "id": "y"}, "/api/{kind}/{id}/tree.json"]),
    ],
)
def test_method_and_path_find_their_handler(router, line, answer):
    """Exact paths win over patterns; a name takes one percent-decoded segment; the call knows its route."""
    [(status, _, body)] = ask(router, line)
    assert (status, json.loads(body)) == (200, answer)


@pytest.mark.parametrize(
    "path", [b"/", b"/api/traces/", b"/api/traces//tree.json", b"/api/x/y/treeXjson", b"/API/traces"]
)
def test_what_is_not_there_is_404(router, path):
    """No pattern matches: 404 in JSON, naming the path."""
    [(status, headers, body)] = ask(router, b"GET " + path)
    assert (status, headers[b"content-type"]) == (404, b"application/json")
    assert json.loads(body) == {"error": f"There is nothing at {path.decode()}."}


def test_another_method_is_405_with_what_is_possible(router):
    """The path exists, the method does not: 405 and Allow, over all patterns that match."""
    found = ask(router, b"PUT /api/traces", b"PUT /api/traces/export", b"PUT /api/traces/1")
    assert [(status, headers[b"allow"]) for status, headers, _ in found] == [
        (405, b"DELETE, GET, HEAD"),
        (405, b"GET, HEAD, POST"),
        (405, b"GET, HEAD, POST"),
    ]


def test_head_falls_to_get(router):
    """HEAD is answered by GET's handler, without the body."""
    [(status, headers, body)] = ask(router, b"HEAD /api/traces")
    assert (status, headers[b"content-length"], body) == (200, b"25", b"")


def test_async_handlers_run_as_tasks():
    """A coroutine may wait; the router holds it until it is done."""

    async def slow(call, name):
        await asyncio.sleep(0.01)
        call.respond_json(200, repr(router))

    router = Router()
    router.add("GET", "/{name}", slow)
    assert json.loads(ask(router, b"GET /a")[0][2]) == "<Router routes: 1, running: 1>"
    assert repr(router) == "<Router routes: 1, running: 0>"


@pytest.mark.parametrize("is_async", [True, False])
def test_errors_are_answered(is_async):
    """An error of ours has its status and message; any other is a 500 that says nothing, and is reported."""
    heard = []

    def fail(call):
        raise {"/ours": NotFound("No such trace."), "/other": KeyError("secret")}[call.path]

    async def fail_later(call):
        fail(call)

    async def cut(call):
        call.start(200, [])
        raise ValueError("late")

    router = Router(on_error=lambda call, error: heard.append((call.path, repr(error))))
    for path in ("/ours", "/other"):
        router.add("GET", path, fail_later if is_async else fail)
    router.add("GET", "/cut", cut)
    found = ask(router, b"GET /ours", b"GET /other")
    assert [(status, json.loads(body)) for status, _, body in found] == [
        (404, {"error": "No such trace."}),
        (500, {"error": "Something went wrong here; see the server's log."}),
    ]
    assert heard == [("/other", "KeyError('secret')")]

    async def run():
        async with serving(router) as served:
            return await served.exchange(b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n")

    assert asyncio.run(run()).endswith(b"\r\n\r\n")


def test_a_body_that_never_comes_is_the_callers_error():
    """An async handler that waits for a body over its limit answers 413 by itself."""

    async def take(call):
        call.respond(200, [], await call.body(2))

    router = Router()
    router.add("POST", "/", take)

    async def run():
        async with serving(router) as served:
            return await served.exchange(
                b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
            )

    [(status, _, body)] = answers(asyncio.run(run()))
    assert (status, json.loads(body)) == (413, {"error": "The body is larger than 2 bytes."})


class Query:
    """A call as far as query_params looks at it."""

    def __init__(self, query):
        self.query = query


def test_query_parameters_are_decoded():
    """Percent-encoding and plus are undone, empty pairs skipped, values may be empty or missing."""
    query = "a=1&b=x%20y+z&&c=&d&%C3%A4=%E2%82%AC&e==&f=%2B"
    expected = {"a": "1", "b": "x y z", "c": "", "d": "", "ä": "€", "e": "=", "f": "+"}
    assert query_params(Query(query)) == expected
    assert query_params(Query("")) == {}


@pytest.mark.parametrize("query", ["a=%", "a=%2", "a=%zz", "a=%ff", "%ff=1", "a=%C3", "a=1&a=2", "a=\xe4"])
def test_nonsense_in_a_query_is_refused(query):
    """Broken percent-encoding, bytes that are no UTF-8, and a parameter given twice are 400."""
    with pytest.raises(BadRequest):
        query_params(Query(query))


def test_nonsense_in_a_path_segment_is_400(router):
    """A segment that is not percent-encoded UTF-8 is the caller's error."""
    assert [status for status, _, _ in ask(router, b"GET /api/traces/%ff", b"GET /api/traces/%")] == [400, 400]


@given(st.text())
def test_what_is_encoded_is_decoded(text):
    """Every text survives percent-encoding."""
    assert (
        percent_decoded("".join(f"%{byte:02x}" for byte in text.encode("utf-8", "ignore")))
        == text.encode("utf-8", "ignore").decode()
    )
