"""Write docs/configuration.md from the table of settings; with `--check`, only compare."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

<!-- Written by packaging/write_docs.py from llmflow_web/app/settings.py; edit that table, not this file. -->

LLMFlow needs no configuration. Every setting is a flag, an environment variable and a key of `llmflow.toml`:

1. the flag: `--proxy-port 9000`
2. our environment variable: `LLMFLOW_PROXY_PORT=9000`
3. an older environment name, where there is one: `PROXY_PORT=9000`
4. the file: `proxy_port = 9000` in the file given by `--config FILE` (or `LLMFLOW_CONFIG`), else in `llmflow.toml`
   in the data directory

The first that is set wins. The working directory is never searched: a repository you have cloned cannot redirect your
keys. A wrong value ends the program with exit code 2 and a line that names the setting, where it was set and what is
allowed. `--verbose` shows where each setting comes from.

Sizes take `B`, `KiB`, `MiB`, `GiB` (or `KB`, `MB`, `GB`); times take `ms`, `s`, `m`, `h`, `d`; plain numbers are bytes
and seconds. In the file, sizes and times with a unit are strings: `max_age = "30d"`. What is on by default has a
`--no-` flag and a `LLMFLOW_NO_` variable (`LLMFLOW_NO_ENV_KEYS=1`); in the file it is `env_keys = false`. An
environment variable that is empty counts as not set; lists are separated by commas there.
"""

UPSTREAMS = """\
### Upstreams of your own

`--upstream NAME=URL` (several times), `LLMFLOW_UPSTREAM_NAME=URL`, or a table in the file:

```toml
[upstream.vllm]                    # adds /vllm/v1 and /passthrough/vllm
url = "http://127.0.0.1:8000"      # a trailing /v1 is understood
dialect = "openai"                 # whose API it speaks
key_env = "VLLM_API_KEY"           # the variable that holds its key, sent when a call brings none
free = true                        # cost 0; the default for a name of your own on this machine
inject_usage = true                # it understands stream_options.include_usage

[upstream.openai]                  # a known name is redirected
url = "https://gateway.example/openai/v1"
```

A name is a small letter followed by small letters, digits and `-`; `v1`, `health`, `providers` and `passthrough` are
taken. In the environment `_` stands for `-`. `OLLAMA_HOST` (host, host:port or URL) and `OLLAMA_PORT` set the upstream
`ollama`. A URL that is LLMFlow's own port is refused.

### Azure and Helicone

| environment | |
|---|---|
| `AZURE_OPENAI_ENDPOINT` | Where your Azure is: `https://NAME.openai.azure.com`, also with `/openai/v1` behind it. |
| `AZURE_OPENAI_RESOURCE` | The NAME alone, where there is no endpoint. |
| `AZURE_OPENAI_API_VERSION`, `OPENAI_API_VERSION` | The `api-version` of calls without one; by default 2024-10-21. |
| `AZURE_DEPLOYMENT_<MODEL>` | A model's deployment, with `_` for `.` and `-`: `AZURE_DEPLOYMENT_GPT_4O=chat-prod`. |
| `HELICONE_HOST`, `HELICONE_PORT` | Helicone's gateway; `oai.helicone.ai` and 443 by default. |

Keys come from the variables listed in [Providers](providers.md). They go to the provider's own host, or to the place
these variables name if it is `https`; an upstream you redirect gets only the key of its own `key_env`.

### Budgets and alerts

`[budget.NAME]` and `[alert.NAME]` are tables of the file; [Budgets](budgets.md) has their keys.
"""


def main() -> None:
    """Write the page, or with --check say whether it is current."""
    page = render()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text(encoding="utf-8") != page:
            sys.exit(f"{TARGET.name} is not current; run: python packaging/write_docs.py")
        return
    TARGET.write_text(page, encoding="utf-8")


def render() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *_groups()])


def _groups() -> Iterator[str]:
    sys.path.insert(0, str(ROOT))
    from llmflow_web.app.settings import SETTINGS
    from llmflow_web.app.settings import UPSTREAMS as UPSTREAM_GROUP

    for group, rows in groupby(SETTINGS, key=lambda setting: setting.group):
        yield f"## {group}\n\n| flag | environment | file key | default | |\n|---|---|---|---|---|"
        for row in rows:
            names = [row.env, *([row.negative_env] if row.negative_env else []), *row.contract]
            value = f" {row.kind.metavar}" if row.kind.metavar else ""
            environment = ", ".join(f"`{name}`" for name in names)
            flag = f"`{row.flag}{value}`".replace("|", "\\|")
            yield f"| {flag} | {environment} | `{row.name}` | {row.default_text} | {row.help} |"
        yield ""
        if group == UPSTREAM_GROUP:
            yield UPSTREAMS


if __name__ == "__main__":
    main()
