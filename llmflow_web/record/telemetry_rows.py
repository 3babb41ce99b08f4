"""Secrets in what others send: masked in attributes, log bodies and metric labels before the store sees them. Pure.

Beside what is masked everywhere, attributes may repeat the headers of a call (`http.request.header.x-api-key`,
`ai.request.headers.authorization`, an object named `headers`): there a name says that the value is secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from llmflow_web.model import JSON, Log, Metric
from llmflow_web.record.redact import Secret, is_credential, masked, redact_bytes, redact_text

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_HEADERS = ("header", "headers")
_COMMANDS = ("command_line", "command_args")  # of the process: --api-key=…, --header "x-api-key: …"
_KEYS = ("api_key", "apikey", "access_key", "secret_key", "private_key")
_WORDS = ("auth", "password", "secret", "token")
_PROBES = tuple(
    re.compile(pattern).search for pattern in (rb"\.(?:(?<=metadata\.)|command)", rb"_(?:key|KEY)\"", rb"-(?=key\")")
)  # each begins with one rare character, as those of `redact` do
_IN_TEXT = re.compile(
    r"([\w-]{3,80})([\"']?\s*[:=,]\s*\[?[\"']?)((?:(?:bearer|basic|token)\s+)?[^\s\"',;\]}]{6,})", re.IGNORECASE
)
"""A name and its value in a text: of headers printed by Python, of a command line."""
_LOG_TEXTS = ("severity_text", "body", "event_name", "service_name", "scope_name", "session_id")
_MAX_NAME = 80
_METRIC_TEXTS = ("name", "description", "unit", "service_name", "scope_name", "session_id")


def redact_attributes(data: bytes, secrets: Sequence[Secret] = ()) -> bytes:
    """Mask the secrets in attributes written as JSON."""
    if _may_name_secret(data):
        data = _without_credentials(data)
    return redact_bytes(data, secrets)


def _may_name_secret(data: bytes) -> bool:
    """Say whether a name may tell that its value is secret, beside those that every body is searched for."""
    for probe in _PROBES:
        if probe(data) is not None:
            return True
    return b"eader" in data


@lru_cache(maxsize=256)
def is_known_clean(data: bytes, secrets: Sequence[Secret]) -> bool:
    """Say whether short attributes hold no secret: those of a resource are the same in span after span."""
    return redact_attributes(data, secrets) is data


def _without_credentials(data: bytes) -> bytes:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # cut off, or no JSON: the patterns still look at it
        return data
    clean = _masked_headers(value, in_headers=False)
    return data if clean == value else _encode(clean).encode("utf-8", "replace")


def _masked_headers(value: Any, *, in_headers: bool) -> Any:
    if isinstance(value, list):
        return [
            _masked_values(one) if in_headers and _names_secret(before) else _masked_headers(one, in_headers=in_headers)
            for before, one in zip([None, *value], value, strict=False)
        ]
    if isinstance(value, str) and in_headers:
        return _IN_TEXT.sub(_mask_named, value)
    if not isinstance(value, dict):
        return value
    if in_headers and "value" in value and _names_secret(value.get("name", value.get("key"))):
        return {**value, "value": _masked_values(value["value"])}
    return {
        name: _masked_values(one)
        if _is_credential(name, in_headers=in_headers)
        else _masked_headers(one, in_headers=name.lower().endswith(_HEADERS + _COMMANDS))
        for name, one in value.items()
    }


def _is_credential(name: str, *, in_headers: bool) -> bool:
    place, _, header = name.lower().rpartition(".")
    is_header = in_headers or place.endswith(_HEADERS) or (place.startswith("rpc.") and place.endswith("metadata"))
    return (is_header and _names_secret(header)) or header.replace("-", "_").endswith(_KEYS)


def _names_secret(name: Any) -> bool:
    """Say whether what stands behind this word is secret: the name of a header, or an option of a program."""
    if not isinstance(name, str) or len(name) > _MAX_NAME:
        return False
    word = name.lower().lstrip("-").replace("_", "-")
    return word in _WORDS or is_credential(word.encode("utf-8", "replace"))


def _mask_named(match: re.Match[str]) -> str:
    return match[1] + match[2] + masked(match[3]) if _names_secret(match[1]) else match[0]


def _masked_values(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {name: _masked_values(one) for name, one in value.items()}
    return [_masked_values(one) for one in value] if isinstance(value, list) else value


class TelemetryRedactor:
    """Masks the secrets of log records and metric points; those of one batch share what they came under."""

    def __init__(self, secrets: Sequence[Secret] = ()) -> None:
        self._secrets = secrets
        self._known: dict[int, tuple[JSON, JSON]] = {}  # by identity, and kept, so that no other gets its number

    def log(self, log: Log) -> Log:
        """Return a log record without its secrets."""
        return replace(
            log,
            **self._texts(log, _LOG_TEXTS),
            attributes=self._clean(log.attributes),
            resource_attributes=self._shared(log.resource_attributes),
            detail=self._clean(log.detail) if log.detail else log.detail,
        )

    def metric(self, metric: Metric) -> Metric:
        """Return a metric point without its secrets."""
        return replace(
            metric,
            **self._texts(metric, _METRIC_TEXTS),
            attributes=self._shared(metric.attributes),
            resource_attributes=self._shared(metric.resource_attributes),
            detail=self._clean(metric.detail) if metric.detail else metric.detail,
        )

    def _texts(self, row: Log | Metric, names: Sequence[str]) -> JSON:
        """Return the text columns that hold a secret, masked: nearly always none."""
        held = {name: value for name in names if (value := getattr(row, name))}
        joined = "\n".join(held.values()).encode("utf-8", "replace")
        if redact_bytes(joined, self._secrets) is joined:
            return {}
        return {name: redact_text(value, self._secrets) for name, value in held.items()}

    def _clean(self, value: JSON) -> JSON:
        if not value:
            return value
        data = _encode(value).encode("utf-8", "replace")
        clean = redact_attributes(data, self._secrets)
        if clean is data:
            return value
        found: JSON = json.loads(clean)
        return found

    def _shared(self, value: JSON) -> JSON:
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, self._clean(value))
        return known[1]
