"""Request and response heads: the values, the fast lane in front of h11, and what is refused even if h11 would not.

The fast lane takes a complete head (bytes up to and including the blank line) and answers None whenever the head is
not plainly well-formed; then h11 gets the same bytes and is the judge. Taking the fast lane away changes speed only.
This room does not import h11: the converters take its values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from llmflow_web.errors import BadRequest
from llmflow_web.model import Header
from llmflow_web.wire.headers import get, get_all, tokens

FRAMING_NONE = 0  # no body at all
FRAMING_LENGTH = 1
FRAMING_CHUNKED = 2
FRAMING_CLOSE = 3  # until the connection ends

MAX_HEAD_BYTES = 64 * 1024
"""A longer head is left to h11 and the limits around it."""

_TOKEN = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]++"
_FIELDS = rb"((?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+)\r\n"
_REQUEST = re.compile(rb"(" + _TOKEN + rb") (/[!-~]*+) HTTP/1\.1\r\n" + _FIELDS)
_RESPONSE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: ([\t -~\x80-\xff]*+))?\r\n" + _FIELDS)
_HOST = re.compile(rb"[ \t]*[-A-Za-z0-9._~!$&'()*+,;=%:\[\]]*[ \t]*")
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#@]+)(.*)")
_MAX_LENGTH_DIGITS = 18
_SINGLE = (b"host", b"content-length", b"transfer-encoding")


class RequestHead:
    """A request's head as read: names lower-cased beside the untouched lines."""

    __slots__ = (
        "content_length",
        "expects_continue",
        "framing",
        "headers",
        "keep_alive",
        "method",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: bytes, headers: list[Header]) -> None:
        self.method = method
        self.target = target
        self.version = version  # b"1.1" or b"1.0"
        self.headers = headers
        self.framing = FRAMING_NONE
        self.content_length = 0
        self.keep_alive = True
        self.expects_continue = False
        self.upgrade: bytes | None = None  # lower-case Upgrade value when Connection names it

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.target!r} HTTP/{self.version.decode()}>"


class ResponseHead:
    """A response's head as read."""

    __slots__ = ("content_length", "framing", "headers", "keep_alive", "reason", "status", "version")

    def __init__(self, status: int, reason: bytes, version: bytes, headers: list[Header]) -> None:
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.framing = FRAMING_CLOSE
        self.content_length = 0
        self.keep_alive = True

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} HTTP/{self.version.decode()}>"


def parse_request_head(data: bytes) -> RequestHead | None:
    """Read a plainly well-formed HTTP/1.1 request head; None leaves it to h11."""
    match = _REQUEST.fullmatch(data)
    if match is None or len(data) > MAX_HEAD_BYTES:
        return None
    method, target, block = match.groups()
    headers = _split(block)
    found = dict(headers)
    if b"expect" in found or b"upgrade" in found or method == b"CONNECT":
        return None
    host = found.get(b"host")
    if host is None or _HOST.fullmatch(host, 5) is None or (len(found) != len(headers) and _has_double(headers)):
        return None
    head = RequestHead(method, target, b"1.1", headers)
    if not _frame(head, found.get(b"content-length"), found.get(b"transfer-encoding")):
        return None
    if b"connection" in found:
        head.keep_alive = _keeps_alive(found[b"connection"], headers, is_only=len(found) == len(headers))
    return head


def parse_response_head(data: bytes, request_method: bytes) -> ResponseHead | None:
    """Read a plainly well-formed final HTTP/1.1 response head; None leaves it to h11."""
    match = _RESPONSE.fullmatch(data)
    if match is None or len(data) > MAX_HEAD_BYTES:
        return None
    status, reason, block = match.groups()
    headers = _split(block)
    found = dict(headers)
    if len(found) != len(headers) and _has_double(headers):
        return None
    head = ResponseHead(int(status), reason or b"", b"1.1", headers)
    if not _frame(head, found.get(b"content-length"), found.get(b"transfer-encoding")):
        return None
    if b"connection" in found:
        head.keep_alive = _keeps_alive(found[b"connection"], headers, is_only=len(found) == len(headers))
    _close_response_framing(head, request_method)
    return head


def _split(block: bytes) -> list[Header]:
    if not block:
        return []
    return [(line[: line.index(b":")].lower(), line) for line in block[:-2].split(b"\r\n")]


def _has_double(headers: list[Header]) -> bool:
    """Say whether a header that must be alone comes twice."""
    names = [name for name, _ in headers]
    return any(names.count(name) > 1 for name in _SINGLE)


def _frame(head: RequestHead | ResponseHead, length: bytes | None, coding: bytes | None) -> bool:
    """Set the framing its header lines give; False when they are not plain."""
    if length is not None:
        digits = length[15:].strip(b" \t")  # behind "content-length:"
        if coding is not None or not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
            return False
        head.content_length = int(digits)
        head.framing = FRAMING_LENGTH
    elif coding is not None:
        if coding[18:].strip(b" \t").lower() != b"chunked":  # behind "transfer-encoding:"
            return False
        head.framing = FRAMING_CHUNKED
    return True


def _keeps_alive(line: bytes, headers: list[Header], *, is_only: bool) -> bool:
    if is_only and line[11:].strip(b" \t").lower() == b"keep-alive":  # behind "connection:"; by far the commonest
        return True
    return b"close" not in tokens(headers, b"connection")


def _close_response_framing(head: ResponseHead, request_method: bytes) -> None:
    """Apply RFC 9112 §6.3: what has no body whatever its headers say, and what only the connection's end delimits."""
    status = head.status
    if request_method == b"HEAD" or status in {204, 304} or (request_method == b"CONNECT" and 200 <= status < 300):
        head.framing = FRAMING_NONE
        head.content_length = 0
    elif head.framing == FRAMING_CLOSE:
        head.keep_alive = False


def request_head_from_h11(
    method: bytes, target: bytes, version: bytes, raw_items: Iterable[tuple[bytes, bytes]]
) -> RequestHead:
    """Convert what h11 read of a request. Raises BadRequest for what no two servers would frame alike."""
    headers = _headers_from_h11(raw_items)
    head = RequestHead(method, target, version, headers)
    coding = get(headers, b"transfer-encoding")
    if coding is not None:
        if version != b"1.1":
            raise BadRequest("Transfer-Encoding needs HTTP/1.1.")
        if get(headers, b"content-length") is not None:
            raise BadRequest("A request cannot have both Content-Length and Transfer-Encoding.")
        head.framing = FRAMING_CHUNKED
    else:
        _frame_by_length(head)
    host = get(headers, b"host")
    if host is not None and _HOST.fullmatch(host) is None:
        raise BadRequest("The Host header is not a host name with an optional port.")
    head.target = _origin_form(head, host)
    _connection_options(head)
    return head


def _frame_by_length(head: RequestHead | ResponseHead) -> None:
    length = get(head.headers, b"content-length")
    if length is not None:
        head.framing = FRAMING_LENGTH
        head.content_length = int(length)


def _connection_options(head: RequestHead) -> None:
    options = tokens(head.headers, b"connection")
    is_modern = head.version == b"1.1"
    head.keep_alive = is_modern and b"close" not in options
    head.expects_continue = is_modern and b"100-continue" in tokens(head.headers, b"expect")
    if is_modern and b"upgrade" in options:
        upgrade = get(head.headers, b"upgrade")
        head.upgrade = upgrade.lower() if upgrade is not None else None


def _origin_form(head: RequestHead, host: bytes | None) -> bytes:
    """Return the target as path and query (RFC 9112 §3.2); an absolute form must name the host that Host names."""
    target = head.target
    if target.startswith(b"/") or (target == b"*" and head.method == b"OPTIONS"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or head.method == b"CONNECT":
        raise BadRequest("The request target must be a path; this is not a forward proxy.")
    if host is None or absolute[1].lower() != host.lower():
        raise BadRequest("The request target names another host than the Host header.")
    rest = absolute[2]
    return rest if rest.startswith(b"/") else b"/" + rest


def refuse_odd_head(data: bytes) -> None:
    """Raise BadRequest for a complete request head that h11 lets pass but that others read differently."""
    lines = data.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line for line in lines):
        raise BadRequest("The head of the request has a line end that is not CRLF.")
    if any(line.startswith((b" ", b"\t")) for line in lines):
        raise BadRequest("A header line is folded.")
    headers = [(line.partition(b":")[0].lower(), line) for line in lines[1:]]
    lengths = get_all(headers, b"content-length")
    if len(lengths) > 1 or any(b"," in value for value in lengths):
        raise BadRequest("A request can have one Content-Length only.")


def response_head_from_h11(
    status: int, reason: bytes, version: bytes, raw_items: Iterable[tuple[bytes, bytes]], request_method: bytes
) -> ResponseHead:
    """Convert what h11 read of a final response."""
    headers = _headers_from_h11(raw_items)
    head = ResponseHead(status, reason, version, headers)
    if get(headers, b"transfer-encoding") is not None:
        head.framing = FRAMING_CHUNKED
    else:
        _frame_by_length(head)
    head.keep_alive = version == b"1.1" and b"close" not in tokens(headers, b"connection")
    _close_response_framing(head, request_method)
    return head


def _headers_from_h11(raw_items: Iterable[tuple[bytes, bytes]]) -> list[Header]:
    return [(bytes(name).lower(), bytes(name) + b": " + bytes(value)) for name, value in raw_items]
