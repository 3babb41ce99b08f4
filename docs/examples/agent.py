"""An agent with steps inside steps: five calls in one trace, three of them in threads, a tool before each of those.

    llmflow demo                                        # in another terminal; needs neither key nor network
    python docs/examples/agent.py "Why is the sky blue?"

With a key it is `llmflow`, and OPENAI_API_KEY. The trace is at http://localhost:3000. Where LLMFlow listens elsewhere,
OPENAI_BASE_URL (its proxy, http://localhost:8080/v1) and LLMFLOW_URL (its dashboard) say so.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from openai import OpenAI

from llmflow import carry, current_span, flush, span, trace, wrap

ASPECTS = ("what is known", "how it works", "what people get wrong")
NOTES = {
    "what is known": "Settled since the 1870s.",
    "how it works": "Short waves are scattered more than long ones.",
    "what people get wrong": "It is not a reflection of the sea.",
}

client = wrap(
    OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://localhost:8080/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "not-needed-by-the-demo"),
    )
)


def ask(prompt: str) -> str:
    """Ask the model; the call stands under whatever span we are in."""
    reply = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": prompt}])
    return reply.choices[0].message.content or ""


@span(span_type="chain")
def plan(question: str) -> str:
    """Decide what to write about."""
    return ask(f"Outline a briefing in three lines: {question}")


@span(span_type="tool")
def look_up(aspect: str) -> str:
    """Find our own notes; a real agent would search."""
    return NOTES[aspect]


@span(span_type="agent")
def research(question: str, aspect: str) -> str:
    """Find out about one aspect."""
    current_span().set(aspect=aspect)
    return ask(f"{question} Write a paragraph on {aspect}. Our notes: {look_up(aspect)}")


@span(span_type="chain")
def write(outline: str, found: list[str]) -> str:
    """Make one text of it all."""
    return ask("\n\n".join(["Write a briefing.", outline, *found]))


@trace("briefing", session_id="example", tags=["example"])
def briefing(question: str) -> str:
    """Plan, research three aspects at once, write."""
    outline = plan(question)
    with ThreadPoolExecutor() as pool:
        # Threads begin without a span: carry() takes ours along.
        found = list(pool.map(carry(lambda aspect: research(question, aspect)), ASPECTS))
    return write(outline, found)


if __name__ == "__main__":
    print(briefing(" ".join(sys.argv[1:]) or "Why is the sky blue?"))
    client.close()
    flush()
