"""LLMFlow's server. In a checkout the adapters stand beside this package; in a wheel, inside it."""

import os.path as _path

# pathlib would make up half the time of `from llmflow import trace`.
_here = _path.dirname(_path.abspath(__file__))  # noqa: PTH100, PTH120
_above = _path.dirname(_here)  # noqa: PTH120
if not _path.exists(_path.join(_here, "providers")) and _path.exists(_path.join(_above, "pyproject.toml")):  # noqa: PTH110, PTH118
    __path__.append(_above)
