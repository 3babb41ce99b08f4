"""Reading the OpenAI request of a translated call: what is refused before any adapter sees it.

Adapters may take the fields named here to be of their type. Fields that are not named are theirs to judge.
"""

from __future__ import annotations

import json

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON
from llmflow_web.wire.content import decode_body

MAX_DECODED_BYTES = 64 * 1024 * 1024
"""What a compressed request may unpack to."""

_WHOLE, _NUMBER, _SWITCH = "a whole number", "a number", "true or false"
_TEXT, _LIST, _OBJECT = "a text", "a list", "an object"
_TYPES: dict[str, tuple[type, ...]] = {
    _WHOLE: (int,),
    _NUMBER: (int, float),
    _SWITCH: (bool,),
    _TEXT: (str,),
    _LIST: (list,),
    _OBJECT: (dict,),
}
_FIELDS: dict[str, tuple[str, ...]] = {
    "messages": (_LIST,),
    "tools": (_LIST,),
    "functions": (_LIST,),
    "tool_choice": (_TEXT, _OBJECT),
    "function_call": (_TEXT, _OBJECT),
    "response_format": (_OBJECT,),
    "stream": (_SWITCH,),
    "stream_options": (_OBJECT,),
    "stop": (_TEXT, _LIST),
    "max_tokens": (_WHOLE,),
    "max_completion_tokens": (_WHOLE,),
    "n": (_WHOLE,),
    "seed": (_WHOLE,),
    "temperature": (_NUMBER,),
    "top_p": (_NUMBER,),
    "presence_penalty": (_NUMBER,),
    "frequency_penalty": (_NUMBER,),
    "logprobs": (_SWITCH,),
    "top_logprobs": (_WHOLE,),
    "parallel_tool_calls": (_SWITCH,),
    "reasoning_effort": (_TEXT,),
    "dimensions": (_WHOLE,),
}


def asked_of(body: bytes, content_encoding: str) -> JSON:
    """Return the request in `body`; nothing at all, as of a GET, is an empty one.

    Raises:
        BadRequest: It is no JSON object, or a field has a type that no model takes.
        RecursionError: It is nested too deeply.
    """
    if content_encoding and body:
        body, is_raw = decode_body(body, content_encoding, MAX_DECODED_BYTES)
        if is_raw:
            raise BadRequest(f"The body cannot be read: its content-encoding is {content_encoding!r}.")
    if not body:
        return {}
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    for name, kinds in _FIELDS.items():
        _check(name, value.get(name), kinds)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _check(name: str, value: object, kinds: tuple[str, ...]) -> None:
    if value is None or any(_is_a(value, kind) for kind in kinds):
        return
    raise BadRequest(f"{name}: {' or '.join(kinds)} is needed", name)


def _is_a(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == _SWITCH
    if kind == _WHOLE and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])
