"""docs/api.md and the dashboard port name the same routes."""

import re
from pathlib import Path

from conftest import Flow

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
OTLP = ("/v1/traces", "/v1/logs", "/v1/metrics")


def plain(path: str) -> str:
    return re.sub(r"\{[a-z_]+\}", "{}", path)


def test_every_route_is_on_the_page(flow: Flow) -> None:
    """What the port answers is on the page, and what is on the page is answered."""
    told = {(method, plain(path)) for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/[^\s`?]*)", PAGE)}
    flow.get("/api/health")  # the routes are loaded by the first request at the latest
    there = {
        (method, plain(path))
        for method, path in flow.house._screens._router.routes
        if path not in OTLP or method == "POST"  # which answers all others with 405 itself
    }
    assert there - told == set()
    assert told - there == set()
