"""A tiny set of evals, as a CI job runs it: two questions, each answer checked, the exit code says how it went.

    llmflow run --max-cost 0.50 -- python docs/examples/evals.py

It knows nothing of LLMFlow: the openai package finds it by OPENAI_BASE_URL.
"""

import sys

from openai import OpenAI

QUESTIONS = ("What is the capital of France?", "Name a prime number between 10 and 20.")


def main() -> int:
    """Ask each question and check each answer; return the exit code."""
    client = OpenAI()
    failed = 0
    for question in QUESTIONS:
        messages = [{"role": "user", "content": question}]
        reply = client.chat.completions.create(model="gpt-4o-mini", messages=messages, max_tokens=100)
        answer = reply.choices[0].message.content or ""
        print(f"{question} {answer}")
        failed += not answer.strip()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
