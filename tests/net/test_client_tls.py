"""TLS to upstreams, verified; and the ways through a forward proxy, against a small scripted one."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import threading
import time

import pytest
import trustme
from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, head_of, wire
from net.client_rig import Sink, ask, get, pool_becomes, pool_repr, request_head, run

from llmflow_web.net.tls import make_context

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def upstream(ca):
    with FakeUpstream(wire(OK), tls=ca) as running:
        yield running


@pytest.fixture(scope="module")
def environ(ca, tmp_path_factory):
    path = tmp_path_factory.mktemp("certificates") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return {"SSL_CERT_FILE": str(path)}


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls(upstream, environ, host):
    """With SSL_CERT_FILE naming its authority an upstream is reached, and its connection used again."""

    async def scenario(client):
        origin = f"https://{host}:{upstream.port}"
        outcomes = [(await get(client, origin, "POST", b"x" * 100_000)).outcome for _ in range(3)]
        return outcomes, pool_repr(client)[:6]

    assert run(scenario, environ=environ) == ([(200, b"ok", None)] * 3, "1 idle")
    assert upstream.connections == 1
    assert [len(request.body) for request in upstream.requests] == [100_000] * 3


def test_unknown_authority(upstream):
    """A certificate that certifi's roots do not vouch for is refused, and nothing was sent."""

    async def scenario(client):
        return (await get(client, upstream.url, "POST", b"secret")).error

    error = run(scenario)
    assert type(error).__name__ == "UpstreamUnreachable"
    assert error.message.startswith("the certificate of 127.0.0.1 could not be verified: ")
    assert error.is_retry_safe
    assert upstream.requests == []


def test_wrong_host(ca, environ):
    """A good certificate for another name is refused."""
    with FakeUpstream(wire(OK)) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("elsewhere.example").configure_cert(context)
        plain._tls = context

        async def scenario(client):
            return (await get(client, plain.url)).error.message

        assert "could not be verified" in run(scenario, environ=environ)


def test_not_tls_at_all(environ):
    """An upstream that does not speak TLS, or hangs up in the handshake, is unreachable, in a short sentence."""
    with FakeUpstream() as plain:
        place = f"127.0.0.1:{plain.port}"

        async def scenario(client):
            return (await get(client, "https://" + place)).error.message

        assert run(scenario, environ=environ, connect_timeout_s=0.2) == f"{place} did not answer within 0.2 s"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        message = run(scenario, environ=environ)
        thread.join()
        assert message in (f"{place} closed the connection while it was being made", "TLS with 127.0.0.1 failed: eof")


def test_context_from_environment(environ, tmp_path):
    """Certificates that cannot be read are named; without SSL_CERT_* certifi's roots are loaded."""
    context = make_context({})
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 50
    assert make_context(environ).cert_store_stats()["x509_ca"] == 1

    async def scenario(client):
        return (await get(client, "https://127.0.0.1:1")).error.message

    assert run(scenario, environ={"SSL_CERT_FILE": "/nowhere"}) == (
        "the certificates of SSL_CERT_FILE=/nowhere could not be read"
    )


def test_context_is_made_once_and_late(upstream, environ):
    """The TLS context is made by the first https request, once."""
    made = []

    def factory():
        made.append(make_context(environ))
        return made[-1]

    async def scenario(client):
        assert made == []
        with FakeUpstream() as plain:
            await get(client, plain.url)
        assert made == []
        await asyncio.gather(*(get(client, upstream.url) for _ in range(4)))

    run(scenario, tls=factory)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("head", "body", "end"),
    [
        (b"Content-Length: 9\r\n", b"hello", CLOSE),
        (b"Content-Length: 9\r\n", b"hello", RESET),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", CLOSE),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", RESET),
        (b"", b"hello", RESET),
    ],
)
def test_cut_over_tls(upstream, environ, head, body, end):
    """A TLS connection that ends too early is a cut, whichever way it ends."""

    async def scenario(client):
        upstream.script(wire(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body, 0.02, end))
        return (await get(client, upstream.url)).outcome

    assert run(scenario, environ=environ) == (200, body, "UpstreamClosed")


def test_close_framed_over_tls(upstream, environ):
    """A closing alert ends an answer that only the connection's end delimits."""

    def polite(talk):
        talk.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        talk._connection.sock.unwrap()

    async def scenario(client):
        upstream.script(polite)
        return (await get(client, upstream.url)).outcome

    assert run(scenario, environ=environ) == (200, b"hello", None)


def test_stale_over_tls(upstream, environ):
    """A POST never meets a TLS connection that upstream closed a moment ago."""

    async def scenario(client):
        await get(client, upstream.url)
        upstream.close_connections()
        time.sleep(0.05)
        return (await get(client, upstream.url, "POST", b"once")).outcome

    assert run(scenario, environ=environ) == (200, b"ok", None)
    assert [request.body for request in upstream.requests] == [b"", b"once"]


def test_abort_over_tls(upstream, environ):
    """An aborted call closes a TLS connection too."""

    async def scenario(client):
        upstream.script(wire(head_of(200, [("content-length", "9")]) + b"x", HANG))
        call, sink = ask(client, upstream.url)
        await sink.begun
        call.abort()
        await asyncio.to_thread(upstream.wait_until, lambda: upstream.requests[0].client_closed_at)

    run(scenario, environ=environ)


@pytest.mark.parametrize("words", [b"Content-Length: 2\r\n\r\nok", b"Content-Length: 2\r\n\r\nok and more", b"\r\nok"])
def test_end_while_paused_over_tls(upstream, environ, words):
    """An answer and the connection's end that wait behind a pause are both taken when it is over."""

    async def scenario(client):
        upstream.script(wire(b"HTTP/1.1 200 OK\r\n", 0.02, words, CLOSE))
        call, sink = ask(client, upstream.url)
        await asyncio.to_thread(upstream.wait_until, lambda: upstream.requests)
        call.pause_reading()
        await asyncio.sleep(0.08)
        call.resume_reading()
        await sink.wait()
        return sink.outcome, await pool_becomes(client, "0 idle, 0 busy")

    assert run(scenario, environ=environ) == ((200, b"ok", None), "0 idle, 0 busy, 0 connecting, 0 waiting")


def test_large_transfer_over_tls(upstream, environ):
    """Megabytes go both ways over TLS, with pauses, unchanged."""
    body = bytes(range(256)) * 20_000

    def echo(talk):
        talk.body(slice_bytes=1_000_000)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def scenario(client):
        upstream.script(echo)
        sink = Sink()
        head = request_head("POST", length=len(body))
        call = client.request(upstream.url, head, b"", sink, method="POST", is_complete=False, chunked=False)
        for at in range(0, len(body), 300_000):
            while sink.events.count("pause") > sink.events.count("resume"):
                await asyncio.sleep(0.001)
            call.send(body[at : at + 300_000])
        call.finish()
        await sink.begun
        call.pause_reading()
        await asyncio.sleep(0.02)
        call.resume_reading()
        return (await sink.wait()).body == body, pool_repr(client)[:6]

    assert run(scenario, environ=environ) == (True, "1 idle")
    assert upstream.requests[0].body == body


# ── unreachable ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("http://127.0.0.1:1", "127.0.0.1:1 refused the connection"),
        ("http://localhost:1", "localhost:1 refused the connection"),
        ("http://[::1]:1", "::1:1 refused the connection"),
        ("http://no-such-host.invalid", "the name of no-such-host.invalid:80 could not be resolved"),
        ("http://" + "a" * 70 + ".example", "the name of " + "a" * 70 + ".example:80 could not be resolved"),
    ],
)
def test_unreachable(origin, reason):
    """Where no connection can be made the reason is one short clause, and sending again is safe."""

    async def scenario(client):
        return (await get(client, origin, "POST", b"x")).error

    error = run(scenario)
    assert (error.message, error.is_retry_safe, error.status) == (reason, True, 502)


@contextlib.contextmanager
def black_hole(host, port=0):
    """Listen where no connection is ever completed: the queue of those waiting to be accepted is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.02)
        yield listener.getsockname()[1]


def test_connect_timeout():
    """CONNECT_TIMEOUT_S bounds how long a silent address is tried."""

    async def scenario(client):
        error = (await get(client, f"http://127.0.0.1:{port}", "POST", b"x")).error
        return error.message, error.is_retry_safe

    with black_hole("127.0.0.1") as port:
        expected = (f"127.0.0.1:{port} did not answer within 0.2 s", True)
        assert run(scenario, connect_timeout_s=0.2) == expected


def test_happy_eyeballs():
    """A name whose first address is silent is reached at its second after a quarter of a second."""
    with FakeUpstream(wire(OK)) as upstream, black_hole("127.0.0.2", upstream.port):

        async def addresses(host, port, **_):
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("127.0.0.2", port)), (*kind, ("127.0.0.1", port))]

        async def scenario(client):
            asyncio.get_running_loop().getaddrinfo = addresses
            started = time.monotonic()
            sink = await get(client, f"http://two.example:{upstream.port}")
            return sink.outcome, time.monotonic() - started > 0.2

        # far from the time after which the first address would be given up
        assert run(scenario, connect_timeout_s=600) == ((200, b"ok", None), True)


@pytest.mark.parametrize("origin", ["http://x:99999", "gopher://x", "http://.example", "http://a b"])
def test_no_origin(origin):
    """An address that is none fails like one that cannot be reached."""

    async def scenario(client):
        return (await get(client, origin)).outcome

    assert run(scenario) == (None, b"", "UpstreamUnreachable")


# ── proxies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def splice(talk, host, port):
    """Carry bytes both ways between the proxy's client and host:port."""
    near = talk._connection.sock
    with socket.create_connection((host, port)) as far:
        while True:
            for ready in select.select([near, far], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (far if ready is near else near).sendall(data)


def tunnelling(upstream):
    """Return a script that opens a tunnel to `upstream`, whatever it is asked for."""

    def script(talk):
        assert talk.request.method == "CONNECT"
        talk.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        splice(talk, "127.0.0.1", upstream.port)
        talk.close()

    return script


def named(ca, name):
    """Return an upstream whose certificate is for `name`."""
    made = FakeUpstream(wire(OK), tls=ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    made._tls = context
    return made


def test_https_goes_through_a_tunnel(ca, environ):
    """HTTPS_PROXY: a CONNECT with the proxy's credentials, then TLS with upstream inside, and the tunnel is pooled."""
    with named(ca, "api.example") as upstream, FakeUpstream(tunnelling(upstream)) as proxy:

        async def scenario(client):
            origin = "https://api.example"
            outcomes = [(await get(client, origin, "POST", b"x")).outcome for _ in range(2)]
            return outcomes, pool_repr(client)[:6]

        url = f"http://us%65r:p%40ss@127.0.0.1:{proxy.port}"
        assert run(scenario, environ={**environ, "HTTPS_PROXY": url}) == ([(200, b"ok", None)] * 2, "1 idle")
        assert [request.head for request in proxy.requests] == [
            (
                b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n"
                b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
            )
        ]
        assert [request.header("proxy-authorization") for request in upstream.requests] == [None, None]


def test_https_proxy_itself_over_tls(ca, environ):
    """A proxy named by an https URL is spoken to over TLS, with upstream's TLS inside."""
    with named(ca, "api.example") as upstream, FakeUpstream(tls=ca) as proxy:

        def script(talk):
            talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", upstream.port)) as far:
                near = talk._connection.sock
                near.setblocking(False)
                while True:
                    ready = select.select([near, far], [], [])[0]
                    try:
                        if far in ready and not near.sendall(data := far.recv(65536)) and not data:
                            return
                        data = near.recv(65536)
                    except ssl.SSLWantReadError:
                        continue
                    if not data:
                        return
                    far.sendall(data)

        async def scenario(client):
            return (await get(client, "https://api.example")).outcome

        proxy.script(script)
        assert run(scenario, environ={**environ, "https_proxy": proxy.url}) == (200, b"ok", None)


def test_http_goes_in_absolute_form():
    """http_proxy: the request line names the whole URL and the proxy forwards."""
    with FakeUpstream(wire(OK)) as proxy:

        async def scenario(client):
            first = await get(client, "http://models.example:8000", "POST", b"x", target="/v1/y?z=1")
            second = await get(client, "http://models.example:8000", "OPTIONS", target="*")
            return first.outcome, second.outcome, pool_repr(client)[:6]

        url = f"http://u:p@127.0.0.1:{proxy.port}"
        ok = (200, b"ok", None)
        assert run(scenario, environ={"http_proxy": url}) == (ok, ok, "1 idle")
        assert proxy.requests[0].head == (
            b"POST http://models.example:8000/v1/y?z=1 HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\n"
            b"Host: upstream\r\nContent-Length: 1\r\n\r\n"
        )
        assert proxy.requests[1].target == "http://models.example:8000"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (wire(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
         "the proxy {} refused the tunnel with status 407"),
        (wire(b"220 smtp ready\r\n"), "the proxy {} did not answer with HTTP"),
        (wire(b"HTTP/1.1 200 OK\r\n\r\nbanner"), "the proxy {} sent bytes of its own into the tunnel"),
        (wire(CLOSE), "the proxy {} closed the connection while it was being made"),
        (wire(HANG), "the proxy {} did not answer within 0.3 s"),
        (wire(b"HTTP/1.1 200 OK\r\n\r\n", HANG), "the proxy {} did not answer within 0.3 s"),
    ],
)  # fmt: skip
def test_proxies_that_refuse(script, reason):
    """A tunnel that does not come about says why, without the credentials."""
    with FakeUpstream(script) as proxy:

        async def scenario(client):
            return (await get(client, "https://api.example", "POST", b"x")).error

        error = run(
            scenario,
            environ={"https_proxy": f"http://user:hush@127.0.0.1:{proxy.port}"},
            connect_timeout_s=0.3 if "0.3 s" in reason else 600,
        )
        assert error.message == reason.format(f"127.0.0.1:{proxy.port}")
        assert error.is_retry_safe
        proxy.wait_until(lambda: proxy.open_connections == 0)


def test_loopback_is_never_proxied():
    """A local upstream is reached directly, whatever the environment says."""
    with FakeUpstream(wire(OK)) as local:

        async def scenario(client):
            return (await get(client, f"http://localhost:{local.port}")).outcome

        assert run(scenario, environ={"http_proxy": "http://127.0.0.1:1"}) == (200, b"ok", None)


def test_a_proxy_we_cannot_speak_to():
    """A SOCKS proxy is refused by the variable's name, without its URL."""

    async def scenario(client):
        return (await get(client, "https://api.example")).error.message

    message = run(scenario, environ={"ALL_PROXY": "socks5://user:hush@127.0.0.1:1080"})
    assert message == "ALL_PROXY must be http://host:port or https://host:port"
