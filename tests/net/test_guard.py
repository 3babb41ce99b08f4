"""The guard: which names, pages and tokens get in at which door, and what the others are told."""

import json

import pytest

from llmflow_web.net.guard import Door, Guard, host_name
from llmflow_web.wire.head import RequestHead

PROXY, DASHBOARD = Door.PROXY, Door.DASHBOARD
TOKEN = "s3cret-token"


class FakeCall:
    """A call of which only head and answer matter."""

    def __init__(
        self, target: str = "/api/traces", method: str = "GET", host: str = "localhost:3000", **headers: str
    ) -> None:
        lines = [("host", host)] if host else []
        lines += [(name.replace("_", "-"), value) for name, value in headers.items()]
        pairs = [(name.encode(), f"{name}: {value}".encode()) for name, value in lines]
        self.head = RequestHead(method.encode(), target.encode(), b"1.1", pairs)
        self.path, _, self.query = target.partition("?")
        self.answer: tuple[int, dict[str, str], bytes] | None = None

    def header(self, name: bytes) -> bytes | None:
        return next((line.partition(b": ")[2] for key, line in self.head.headers if key == name), None)

    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes = b"") -> None:
        assert self.answer is None
        self.answer = status, dict(headers), body

    def respond_json(self, status: int, value: object, headers=()) -> None:
        self.respond(status, list(headers), json.dumps(value).encode())

    @property
    def status(self) -> int | None:
        return self.answer and self.answer[0]

    @property
    def error(self):
        return json.loads(self.answer[2])["error"]


def status(guard: Guard, door: Door, call: FakeCall) -> int | None:
    """Return the status of a refusal; None = let in."""
    admitted = guard.admit(call, door)
    assert (admitted is None) == (call.answer is not None)
    return call.status


# --- Host ---


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize(
    "host",
    ["localhost:3000", "LOCALHOST", "127.0.0.1:8080", "127.9.8.7", "[::1]:3000", "llmflow.localhost", "localhost.", ""],
)
def test_names_of_this_machine(host: str, door: Door) -> None:
    """Every name that always means this machine is answered to, and a request without Host."""
    assert status(Guard(), door, FakeCall(host=host)) is None


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize(
    "host",
    [
        "evil.com", "evil.com:3000", "localhost.evil.com", "127.0.0.1.evil.com", "notlocalhost", "192.168.1.5",
        "127.0.0.1@evil.com", "user@localhost", "[::2]", "0.0.0.0", "localhost:3000, evil.com", "evil.com/localhost",
    ],
)  # fmt: skip
def test_other_names_are_refused(host: str, door: Door) -> None:
    """A name that could be pointed at this machine by a stranger is refused: DNS rebinding."""
    assert status(Guard(), door, FakeCall(host=host)) == 403


def test_refusal_of_a_name_names_the_flag() -> None:
    """Whoever is refused for its name is told how to allow it."""
    call = FakeCall(host="box.lan:3000")
    status(Guard(), DASHBOARD, call)
    assert "--allow-host box.lan" in call.error


def test_allowed_and_bound_names() -> None:
    """Names the user allows, and the address bound to, are answered to."""
    guard = Guard(allow_hosts=["box.lan", "Other.LAN:3000"], bind_host="192.168.1.5")
    assert status(guard, PROXY, FakeCall(host="BOX.lan:9")) is None
    assert status(guard, PROXY, FakeCall(host="other.lan")) is None
    assert status(guard, PROXY, FakeCall(host="192.168.1.5:8080")) is None
    assert status(guard, PROXY, FakeCall(host="192.168.1.6:8080")) == 403
    assert status(Guard(bind_host="fd00::1"), PROXY, FakeCall(host="[fd00::1]:1")) is None


def test_bound_to_everything() -> None:
    """Bound to all addresses, any address is ours, but no name."""
    guard = Guard(bind_host="0.0.0.0")
    assert status(guard, DASHBOARD, FakeCall(host="10.1.2.3:3000")) is None
    assert status(guard, DASHBOARD, FakeCall(host="[fd00::7]:3000")) is None
    assert status(guard, DASHBOARD, FakeCall(host="evil.com")) == 403


def test_host_names() -> None:
    """Ports and final dots do not belong to a name."""
    assert [host_name(text) for text in ("A.b:1", "a.", "[::1]:1", "a b", ":1", ".")] == [
        "a.b",
        "a",
        "[::1]",
        None,
        None,
        None,
    ]


# --- Origin ---

OWN, DEV, FOREIGN = "http://localhost:3000", "http://127.0.0.1:5173", "https://evil.com"
LISTED = "https://app.example"

ORIGINS = [
    # door, method, path, origin, allowed
    (DASHBOARD, "GET", "/api/traces", OWN, True),
    (DASHBOARD, "GET", "/api/traces", "HTTP://LOCALHOST:3000", True),
    (DASHBOARD, "GET", "/api/traces", DEV, False),
    (DASHBOARD, "GET", "/api/traces", "http://localhost:3001", False),
    (DASHBOARD, "GET", "/api/traces", "http://localhost", False),
    (DASHBOARD, "GET", "/api/traces", "https://localhost:3000", False),
    (DASHBOARD, "GET", "/ws", DEV, False),
    (DASHBOARD, "GET", "/ws", FOREIGN, False),
    (DASHBOARD, "GET", "/ws", OWN, True),
    (DASHBOARD, "POST", "/api/spans", DEV, True),
    (DASHBOARD, "POST", "/v1/traces", DEV, True),
    (DASHBOARD, "POST", "/api/spans", FOREIGN, False),
    (DASHBOARD, "POST", "/api/spans", "null", False),
    (DASHBOARD, "POST", "/api/spans", "chrome-extension://localhost", False),
    (DASHBOARD, "GET", "/api/traces", LISTED, True),
    (DASHBOARD, "DELETE", "/api/traces/x", DEV, False),
    (PROXY, "POST", "/v1/chat/completions", DEV, True),
    (PROXY, "POST", "/v1/chat/completions", "http://[::1]:80", True),
    (PROXY, "POST", "/v1/chat/completions", "http://app.localhost:8000", True),
    (PROXY, "POST", "/v1/chat/completions", FOREIGN, False),
    (PROXY, "POST", "/v1/chat/completions", "http://localhost.evil.com", False),
    (PROXY, "POST", "/v1/chat/completions", "http://localhost@evil.com", False),
    (PROXY, "POST", "/v1/chat/completions", "null", False),
    (PROXY, "POST", "/v1/chat/completions", "", False),
    (PROXY, "POST", "/v1/chat/completions", LISTED, True),
]


@pytest.mark.parametrize(("door", "method", "path", "origin", "is_allowed"), ORIGINS)
def test_origins(door: Door, method: str, path: str, origin: str, is_allowed: bool) -> None:
    """Our own page does everything, local pages may send spans and use the proxy, listed ones all, others nothing."""
    guard = Guard(allow_origins=[LISTED + "/"])
    call = FakeCall(path, method, origin=origin)
    assert status(guard, door, call) == (None if is_allowed else 403)


def test_refused_origin_is_told_the_flag() -> None:
    """The sentence names the flag that would let the page in, in the shape of the door."""
    call = FakeCall("/v1/models", origin=FOREIGN)
    status(Guard(), PROXY, call)
    assert "--allow-origin https://evil.com" in call.error["message"]
    assert call.error["code"] == "origin_not_allowed"


def test_two_origins_are_one_too_many() -> None:
    """More than one Origin is refused."""
    call = FakeCall(origin=OWN)
    call.head.headers.append((b"origin", b"origin: http://localhost:3000"))
    assert status(Guard(), DASHBOARD, call) == 403


@pytest.mark.parametrize(
    ("door", "method", "site", "mode", "is_allowed"),
    [
        (DASHBOARD, "GET", "cross-site", "navigate", True),
        (DASHBOARD, "GET", "cross-site", "no-cors", False),
        (DASHBOARD, "POST", "cross-site", "navigate", False),
        (DASHBOARD, "GET", "same-origin", "cors", True),
        (DASHBOARD, "GET", "none", "navigate", True),
        (PROXY, "GET", "cross-site", "navigate", False),
        (PROXY, "GET", "cross-site", "no-cors", False),
        (PROXY, "GET", "none", "navigate", True),
    ],
)
def test_pages_that_hide_their_origin(door: Door, method: str, site: str, mode: str, is_allowed: bool) -> None:
    """Images, scripts and forms of other sites are refused; a link to the dashboard may be clicked."""
    call = FakeCall("/", method, sec_fetch_site=site, sec_fetch_mode=mode)
    assert status(Guard(), door, call) == (None if is_allowed else 403)


def test_cors_lines() -> None:
    """An allowed page gets its own origin echoed, a program gets nothing."""
    assert Guard().admit(FakeCall(), PROXY) == b""
    lines = Guard().admit(FakeCall(origin=DEV), PROXY)
    assert lines.startswith(b"access-control-allow-origin: http://127.0.0.1:5173\r\n")
    assert b"x-llmflow-trace-id" in lines
    assert lines.endswith(b"\r\n")


def test_preflight() -> None:
    """A preflight of an allowed page is answered here, with the headers it asked for; a foreign one is refused."""
    asked = {
        "access_control_request_method": "POST",
        "access_control_request_headers": "Authorization, X-Stainless-OS",
        "access_control_request_private_network": "true",
    }
    call = FakeCall("/v1/chat/completions", "OPTIONS", origin=DEV, **asked)
    assert status(Guard(token=TOKEN), PROXY, call) == 204
    headers = call.answer[1]
    assert headers["access-control-allow-origin"] == DEV
    assert headers["access-control-allow-headers"] == "authorization, x-stainless-os"
    assert "POST" in headers["access-control-allow-methods"]
    assert headers["access-control-allow-private-network"] == "true"
    assert status(Guard(), PROXY, FakeCall("/v1/chat/completions", "OPTIONS", origin=FOREIGN, **asked)) == 403


# --- the token ---


@pytest.mark.parametrize(
    ("door", "headers", "is_in"),
    [
        (DASHBOARD, {}, False),
        (DASHBOARD, {"authorization": f"Bearer {TOKEN}"}, True),
        (DASHBOARD, {"authorization": f"bearer  {TOKEN} "}, True),
        (DASHBOARD, {"authorization": "Bearer wrong"}, False),
        (DASHBOARD, {"authorization": f"Basic {TOKEN}"}, False),
        (DASHBOARD, {"x_llmflow_token": TOKEN}, True),
        (DASHBOARD, {"x_llmflow_token": TOKEN + "x"}, False),
        (PROXY, {"authorization": f"Bearer {TOKEN}"}, False),
        (PROXY, {"x_llmflow_token": TOKEN, "authorization": "Bearer sk-provider"}, True),
        (PROXY, {"x_llmflow_token": "wrong"}, False),
    ],
)
def test_token_headers(door: Door, headers: dict[str, str], is_in: bool) -> None:
    """The token opens every door by its own header; Authorization is read on the dashboard only."""
    assert status(Guard(token=TOKEN), door, FakeCall("/v1/x", **headers)) == (None if is_in else 401)


def test_missing_token_is_explained() -> None:
    """Whoever lacks the token is told how to bring it, in the shape of the door."""
    call = FakeCall("/v1/chat/completions", "POST")
    status(Guard(token=TOKEN), PROXY, call)
    assert call.error["type"] == "authentication_error"
    assert "x-llmflow-token" in call.error["message"]
    assert call.answer[1]["www-authenticate"] == "Bearer"
    call = FakeCall("/api/traces")
    status(Guard(token=TOKEN), DASHBOARD, call)
    assert "?token=" in call.error


@pytest.mark.parametrize("door", Door)
def test_token_in_the_path(door: Door) -> None:
    """/t/TOKEN before a path opens the door and is gone from the path behind it."""
    call = FakeCall(f"/t/{TOKEN}/v1/chat/completions")
    assert status(Guard(token=TOKEN), door, call) is None
    assert call.path == "/v1/chat/completions"
    call = FakeCall(f"/t/{TOKEN}")
    assert status(Guard(token=TOKEN), door, call) is None
    assert call.path == "/"
    assert status(Guard(token=TOKEN), door, FakeCall("/t/wrong/v1/models")) == 401
    call = FakeCall("/t/anything/x")
    assert status(Guard(), door, call) is None
    assert call.path == "/t/anything/x"


def test_token_in_a_browser() -> None:
    """?token= once becomes a cookie that is not the token, strict and hidden from scripts; then the cookie will do."""
    guard = Guard(token=TOKEN)
    call = FakeCall(f"/traces?token={TOKEN}&q=a")
    assert status(guard, DASHBOARD, call) == 303
    headers = call.answer[1]
    assert headers["location"] == "/traces?q=a"
    cookie, *attributes = headers["set-cookie"].split("; ")
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert status(guard, DASHBOARD, FakeCall("/ws", cookie=f"a=b; {cookie}", origin=OWN)) is None
    assert status(guard, DASHBOARD, FakeCall("/", cookie="llmflow_session=wrong")) == 401
    assert status(guard, DASHBOARD, FakeCall(f"/api/traces?token={TOKEN}")) == 401
    assert status(guard, DASHBOARD, FakeCall("/traces?token=wrong")) == 401
    assert status(Guard(token="other"), DASHBOARD, FakeCall("/", cookie=cookie)) == 401


def test_cookie_redirect_stays_here() -> None:
    """The redirect behind ?token= never leads to another server."""
    call = FakeCall(f"//evil.com/x?token={TOKEN}")
    status(Guard(token=TOKEN), DASHBOARD, call)
    assert call.answer[1]["location"] == "/evil.com/x"


def test_cookie_does_not_open_the_proxy_and_does_not_go_on() -> None:
    """The dashboard's cookie, sent by the browser to all ports, is no key for the proxy and never reaches a provider."""
    guard = Guard(token=TOKEN)
    page = FakeCall(f"/?token={TOKEN}")
    status(guard, DASHBOARD, page)
    cookie = page.answer[1]["set-cookie"].split("; ")[0]
    assert status(guard, PROXY, FakeCall("/v1/models", cookie=cookie)) == 401
    call = FakeCall("/v1/models", cookie=cookie, x_llmflow_token=TOKEN)
    assert status(guard, PROXY, call) is None
    assert call.header(b"cookie") is None


@pytest.mark.parametrize(("door", "path"), [(PROXY, "/health"), (DASHBOARD, "/api/health")])
def test_health_without_token(door: Door, path: str) -> None:
    """Health answers without a token, and says nothing but that."""
    call = FakeCall(path)
    assert status(Guard(token=TOKEN), door, call) == 200
    assert json.loads(call.answer[2]) == {"status": "ok"}
    assert status(Guard(token=TOKEN), door, FakeCall(path, x_llmflow_token=TOKEN)) is None


def test_token_does_not_excuse_a_wrong_host_or_origin() -> None:
    """Host and Origin are judged first."""
    guard = Guard(token=TOKEN)
    assert status(guard, DASHBOARD, FakeCall(host="evil.com", x_llmflow_token=TOKEN)) == 403
    assert status(guard, DASHBOARD, FakeCall(origin=FOREIGN, x_llmflow_token=TOKEN)) == 403


def test_many_hosts_do_not_fill_memory() -> None:
    """Judged names are remembered within a bound."""
    guard = Guard()
    for number in range(2500):
        guard.check(FakeCall(host=f"h{number}.com"), PROXY)
    assert len(guard._known_hosts) <= 1000
