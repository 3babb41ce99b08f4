"""The dashboard's files over real sockets: types, tags, compression, policy, screens, and what never gets out."""

import gzip
import zipfile
from importlib import resources
from pathlib import Path

import pytest
from routes.api_rig import ApiRig

from llmflow_web.routes.assets import Assets


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        yield rig


def test_index_with_its_policy(rig: ApiRig) -> None:
    """The page comes with a strict policy, no referrer, no sniffing, and is asked for again each time."""
    answer = rig.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "media-src"):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"


def test_page_holds_nothing_the_policy_forbids(rig: ApiRig) -> None:
    """No inline script, style or handler stands in the page."""
    import re

    page = rig.get("/").body.decode()
    assert re.search(r"<script(?![^>]*\bsrc=)", page) is None
    assert re.search(r"<style|\sstyle=|\son[a-z]+=", page) is None


SCREENS = ["/", "/index.html", "/traces", "/traces/abc", "/diff/a/b", "/sessions", "/sessions/s%2F1", "/timeline",
           "/analytics", "/logs", "/metrics", "/models", "/prompts", "/budgets", "/setup"]  # fmt: skip


@pytest.mark.parametrize("path", SCREENS)
def test_screens_are_the_page(path: str, rig: ApiRig) -> None:
    """Every screen's path gives the page, with or without a query."""
    page = rig.get("/").body
    assert rig.get(path).body == page
    assert rig.get(path + "?q=a").status == 200


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/traces/", "/traces/a/b", "/diff/a", "/sessions/a/b", "/app.js/", "/static/app.js", "/favicon.ico2",
     "/css", "/README.md", "//app.js", "/.env", "/css/.hidden.css", "/app.py"],
)  # fmt: skip
def test_everything_else_is_not_found(path: str, rig: ApiRig) -> None:
    """There is no page for every path: what is none of ours is 404 in plain text."""
    answer = rig.get(path)
    assert (answer.status, answer.body) == (404, b"Not Found")


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/../model.py", "/css/../../errors.py", "/..%2f..%2fetc%2fpasswd.txt", "/%2e%2e/version.py",
     "/css/..\\..\\index.html", "/C:/x.txt", "/etc/passwd", "/css/%00.css", "/..;/app.js", "/data/../static/app.js"],
)  # fmt: skip
def test_nothing_outside_the_folder(path: str, rig: ApiRig) -> None:
    """No spelling of a path leads out of the folder."""
    assert rig.get(path).status == 404


def test_types(rig: ApiRig) -> None:
    """Scripts and styles have their types."""
    assert rig.get("/app.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert rig.get("/css/tokens.css").headers["content-type"] == "text/css; charset=utf-8"


def test_every_file_is_served(rig: ApiRig) -> None:
    """Each file of the dashboard can be fetched, as it stands in the package."""
    root = Path(str(resources.files("llmflow_web"))) / "static"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files
    for path in files:
        answer = rig.get("/" + path.relative_to(root).as_posix())
        assert (answer.status, answer.body) == (200, path.read_bytes()), path


def test_known_files_are_not_sent_again(rig: ApiRig) -> None:
    """With its tag, weak or among others, a file is answered with 304 and no body; another tag gets the file."""
    etag = rig.get("/app.js").headers["etag"]
    for tag in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = rig.get("/app.js", if_none_match=tag)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert rig.get("/app.js", if_none_match='"x"').status == 200


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("br", False),
    ],
)
def test_compression(accepted: str, is_packed: bool, rig: ApiRig) -> None:
    """Who takes gzip gets it, and the same bytes inside."""
    plain = rig.get("/app.js").body
    answer = rig.get("/app.js", accept_encoding=accepted)
    assert answer.headers["vary"] == "accept-encoding"
    assert (answer.headers["content-encoding"] == "gzip") is is_packed
    assert (gzip.decompress(answer.body) if is_packed else answer.body) == plain


def test_head(rig: ApiRig) -> None:
    """HEAD tells the length and sends nothing."""
    answer = rig.ask("HEAD", "/app.js")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) == len(rig.get("/app.js").body)


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/v1/models", "/groq/v1/chat/completions", "/v1beta/models/x:generateContent",
     "/passthrough/openai/v1/models"],
)  # fmt: skip
def test_wrong_door(path: str, rig: ApiRig) -> None:
    """A provider's call on this port is told the proxy's."""
    answer = rig.post({}, path)
    assert answer.status == 400
    assert "8080" in answer.json["error"]["message"]
    assert answer.json["error"]["code"] == "wrong_port"


def test_wrong_door_names_the_providers_url(rig: ApiRig) -> None:
    """The sentence holds the base URL that would have been right."""
    message = rig.post({}, "/groq/v1/chat/completions").json["error"]["message"]
    assert message.endswith("http://localhost:8080/groq/v1")


@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/api", "/api/traces/a/b/c"])
def test_unknown_api(path: str, rig: ApiRig) -> None:
    """An unknown route of the API is 404 as JSON."""
    answer = rig.get(path)
    assert (answer.status, answer.json) == (404, {"error": "Not Found"})


class _Call:
    """Just enough of a call for the archive test."""

    def __init__(self, path: str) -> None:
        from llmflow_web.wire.head import RequestHead

        self.path, self.head = path, RequestHead(b"GET", path.encode(), b"1.1", [])

    def respond(self, status: int, _headers: object, body: bytes = b"") -> None:
        self.answer = status, body


def test_files_in_an_archive(tmp_path: Path) -> None:
    """In a zipapp the files are read from the archive; what is not in it is 404."""
    with zipfile.ZipFile(tmp_path / "x.pyz", "w") as archive:
        archive.writestr("static/app.js", "let a;")
    with zipfile.ZipFile(tmp_path / "x.pyz") as archive:
        assets = Assets(proxy_port=lambda: 1, root=zipfile.Path(archive, "static/"))
        found, missing = _Call("/app.js"), _Call("/other.js")
        assets.fallback(found)
        assets.fallback(missing)
    assert found.answer == (200, b"let a;")
    assert missing.answer == (404, b"Not Found")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Whoever works on the dashboard sees a change without a restart."""
    import os

    (tmp_path / "app.js").write_text("1")
    assets, call = Assets(proxy_port=lambda: 1, root=tmp_path), _Call("/app.js")
    assets.fallback(call)
    (tmp_path / "app.js").write_text("2")
    os.utime(tmp_path / "app.js", ns=(1, 1))
    assets.fallback(call)
    assert call.answer == (200, b"2")
