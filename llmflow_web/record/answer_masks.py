"""What the user's own patterns do to an answer, beside masking the bytes of it. Pure.

A streamed answer comes in pieces, and what a pattern matches may be spread over them: only the assembled text tells.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from llmflow_web.model import Completion
from llmflow_web.record.patterns import mask_text
from llmflow_web.record.redact import Secret, patterns_in, redact_bytes


def is_matched(completion: Completion | None, secrets: Sequence[Secret]) -> bool:
    """Say whether the user's own patterns match in an assembled answer."""
    patterns = patterns_in(secrets)
    if not patterns or completion is None:
        return False
    data = json.dumps([completion.text, completion.reasoning, completion.body, completion.tool_calls]).encode()
    return redact_bytes(data, patterns) is not data


def masked_answer(completion: Completion | None, secrets: Sequence[Secret]) -> Completion | None:
    """Return the answer a preview is made of: masked before it is cut to length, so that no half of a match stays."""
    patterns = patterns_in(secrets)
    if not patterns or completion is None:
        return completion
    calls = json.loads(redact_bytes(json.dumps(completion.tool_calls).encode(), patterns))
    text, reasoning = mask_text(completion.text, patterns), mask_text(completion.reasoning, patterns)
    return replace(completion, text=text, reasoning=reasoning, tool_calls=calls)
