"""What Anthropic's models take and refuse, told by their names.

Rules by version, not a list of models: a model that comes out tomorrow follows the newest of its line. As of November
2026. Names that are not Claude's (servers that speak the Messages API) are held to nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"claude-(?:([a-z]+)-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_UNNUMBERED = (4, 7)  # claude-mythos-preview is the one known name without a number

_FIRST_THINKING = (3, 7)
_FIRST_NATIVE_SCHEMA = (4, 5)
_FIRST_ADAPTIVE = (4, 6)
_FIRST_WITHOUT_SAMPLING = (4, 7)
_FIRST_SYSTEM_TURNS = (4, 8)
_FIRST_WITHOUT_FORCED_TOOLS = (5, 1)

BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
"""Thinking tokens for each reasoning_effort, where a model is given a budget rather than an effort."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one model can do. Defaults: a model nothing is known of."""

    thinks: bool = True
    has_adaptive_thinking: bool = False  # else thinking is asked for with a budget
    has_native_schema: bool = False  # output_config.format, and strict tools
    takes_sampling: bool = True  # temperature, top_p, top_k
    takes_system_turns: bool = False  # role "system" between turns
    takes_forced_tools: bool = True  # tool_choice any and tool
    has_xhigh_effort: bool = False

    def effort(self, asked: str) -> str:
        """Return the nearest effort this model knows."""
        if asked == "minimal":
            return "low"
        return "high" if asked == "xhigh" and not self.has_xhigh_effort else asked


def abilities_of(model: str) -> Abilities:
    """Tell by its name what a model can do."""
    name = model.lower()
    found = _NAME.search(name)
    if found is None and "claude-" not in name:
        return Abilities()
    family = found[1] if found else ""
    version = (int(found[2]), int(found[3] or 0)) if found else _UNNUMBERED
    return Abilities(
        thinks=version >= _FIRST_THINKING,
        has_adaptive_thinking=version >= _FIRST_ADAPTIVE,
        has_native_schema=version >= _FIRST_NATIVE_SCHEMA,
        takes_sampling=version < _FIRST_WITHOUT_SAMPLING,
        takes_system_turns=version >= _FIRST_SYSTEM_TURNS,
        takes_forced_tools=version < _FIRST_WITHOUT_FORCED_TOOLS or family == "haiku",
        has_xhigh_effort=version >= _FIRST_WITHOUT_SAMPLING,
    )
