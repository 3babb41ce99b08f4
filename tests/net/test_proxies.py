"""The proxy variables of the environment, as a table."""

from __future__ import annotations

import pytest

from llmflow_web.errors import UpstreamUnreachable
from llmflow_web.net.proxies import Proxies, is_loopback

PROXY = "http://proxy.corp:3128"

NO_PROXY = [
    # NO_PROXY, host, port, goes through the proxy
    ("", "api.openai.com", 443, True),
    ("*", "api.openai.com", 443, False),
    ("openai.com", "openai.com", 443, False),
    ("openai.com", "api.openai.com", 443, False),
    (".openai.com", "api.openai.com", 443, False),
    (".openai.com", "openai.com", 443, False),
    ("*.openai.com", "api.openai.com", 443, False),
    ("OpenAI.com", "api.openai.com", 443, False),
    ("openai.com", "notopenai.com", 443, True),
    ("openai.com", "openai.com.evil.example", 443, True),
    ("a.example, b.example", "b.example", 443, False),
    ("a.example b.example", "b.example", 443, False),
    ("a.example,,", "b.example", 443, True),
    ("openai.com:443", "api.openai.com", 443, False),
    ("openai.com:8443", "api.openai.com", 443, True),
    ("10.0.0.1", "10.0.0.1", 443, False),
    ("10.0.0.1", "10.0.0.10", 443, True),
    ("10.0.0.1:80", "10.0.0.1", 443, True),
    ("10.0.0.1:443", "10.0.0.1", 443, False),
    ("10.0.0.0/8", "10.200.3.4", 443, False),
    ("10.0.0.0/8", "11.0.0.1", 443, True),
    ("10.0.0.0/8", "ten.example", 443, True),
    ("10.0.0.0/99", "10.0.0.1", 443, True),
    ("fd00::/8", "fd12::1", 443, False),
    ("fd12::1", "fd12::1", 443, False),
    ("[fd12::1]", "fd12::1", 443, False),
    ("[fd12::1]:443", "fd12::1", 443, False),
    ("[fd12::1]:80", "fd12::1", 443, True),
    (".", "api.openai.com", 443, True),
    (":443", "api.openai.com", 443, True),
]


@pytest.mark.parametrize(("listed", "host", "port", "is_proxied"), NO_PROXY)
def test_no_proxy(listed, host, port, is_proxied):
    """NO_PROXY exempts names with all below them, addresses and networks, each also with a port."""
    for name in ("NO_PROXY", "no_proxy"):
        proxy = Proxies({"HTTPS_PROXY": PROXY, name: listed}).find("https", host, port)
        assert (proxy is not None) is is_proxied


@pytest.mark.parametrize(
    ("environ", "scheme", "found"),
    [
        ({}, "https", None),
        ({"HTTPS_PROXY": PROXY}, "https", "proxy.corp:3128"),
        ({"https_proxy": PROXY}, "https", "proxy.corp:3128"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "https", "low:1"),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, "https", None),
        ({"ALL_PROXY": PROXY}, "https", "proxy.corp:3128"),
        ({"ALL_PROXY": PROXY}, "http", "proxy.corp:3128"),
        ({"all_proxy": "http://all:1", "https_proxy": "http://one:1"}, "https", "one:1"),
        ({"HTTPS_PROXY": PROXY}, "http", None),
        ({"http_proxy": PROXY}, "http", "proxy.corp:3128"),
        ({"HTTP_PROXY": PROXY}, "http", None),
        ({"HTTPS_PROXY": "proxy.corp:3128"}, "https", "proxy.corp:3128"),
        ({"HTTPS_PROXY": "http://proxy.corp"}, "https", "proxy.corp:80"),
        ({"HTTPS_PROXY": "https://proxy.corp"}, "https", "proxy.corp:443"),
        ({"HTTPS_PROXY": "http://[fd12::1]:3128/"}, "https", "fd12::1:3128"),
    ],
)
def test_which_variable(environ, scheme, found):
    """The scheme's own variable wins over ALL_PROXY, lower case over upper; HTTP_PROXY in capitals is not read."""
    proxy = Proxies(environ).find(scheme, "api.openai.com", 443)
    assert (str(proxy) if proxy else None) == found


@pytest.mark.parametrize("url", ["socks5://user:hush@p:1", "http://user:hush@p:port", "http://user:hush@", "http://["])
def test_unusable(url):
    """A proxy we cannot speak to is named by its variable only: the URL may hold a password."""
    with pytest.raises(UpstreamUnreachable) as caught:
        Proxies({"HTTPS_PROXY": url}).find("https", "api.openai.com", 443)
    assert "HTTPS_PROXY" in caught.value.message
    assert "hush" not in caught.value.message


def test_credentials_stay_out_of_sight():
    """The password in a proxy's URL shows neither in its text nor in its repr."""
    proxy = Proxies({"HTTPS_PROXY": "http://user:hush@p:1"}).find("https", "x.example", 443)
    assert proxy.authorization == b"Basic dXNlcjpodXNo"
    assert "hush" not in repr(proxy) + str(proxy)
    assert "dXN" not in repr(proxy)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("a.localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
     ("0.0.0.0", True), ("10.0.0.1", False), ("localhost.example", False), ("127.0.0.1.example", False)],
)  # fmt: skip
def test_loopback(host, expected):
    """Names and addresses of this machine are known, and nothing that only looks like them."""
    assert is_loopback(host) is expected
