from typing import NoReturn

from llmflow_web.app.embed import Flow as Flow
from llmflow_web.app.embed import serve as serve
from llmflow_web.sdk import Span as Span
from llmflow_web.sdk import carry as carry
from llmflow_web.sdk import configure as configure
from llmflow_web.sdk import current_span as current_span
from llmflow_web.sdk import current_trace_headers as current_trace_headers
from llmflow_web.sdk import flush as flush
from llmflow_web.sdk import span as span
from llmflow_web.sdk import stats as stats
from llmflow_web.sdk import trace as trace
from llmflow_web.sdk import wrap as wrap

__all__ = [
    "Flow",
    "Span",
    "carry",
    "configure",
    "current_span",
    "current_trace_headers",
    "flush",
    "main",
    "serve",
    "span",
    "stats",
    "trace",
    "wrap",
]

def main() -> NoReturn: ...
