"""What happens in the demo: a small travel agency's day, told as calls and spans.

Each scene is a program's few calls in order; scenes run side by side. Nothing here knows how it is sent or recorded.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from typing import Any

from llmflow_web.app.demo_desk import Desk, Step
from llmflow_web.app.fake_provider import JSON, Answer

_CONCIERGE = (
    "You are the concierge of Harbor Travel. Be brief and concrete, never invent prices, and offer one next step. "
    "Opening hours: 08:00 to 20:00. Refunds: free until 48 hours before departure."
)
_TURNS = (
    (
        "My train to Lisbon was cancelled this morning. What can I do?",
        (
            "I'm sorry. You have two options: the 14:05 via Porto, which still has seats, or a full refund to "
            "your card within three working days. Shall I rebook you on the 14:05?"
        ),
    ),
    (
        "Yes please, and will my hotel keep the room if I arrive after ten?",
        (
            "Done: you are on the 14:05, coach 7, seat 42. The hotel knows you arrive late, so the room is kept "
            "until midnight. Would you like a taxi from the station?"
        ),
    ),
    (
        "No, I'd rather walk. How far is it?",
        (
            "900 metres, about twelve minutes: leave by the east exit and follow the river. I can send the route to "
            "your phone."
        ),
    ),
)
_BOOKING_TOOL: JSON = {
    "type": "function",
    "function": {
        "name": "find_booking",
        "description": "Look a booking up by its reference.",
        "parameters": {
            "type": "object",
            "properties": {"reference": {"type": "string"}},
            "required": ["reference"],
        },
    },
}
_GUIDE = (
    "Alfama is the oldest quarter; go up by tram 28 early, before the queues.",
    "The tile museum closes on Mondays and has a quiet courtyard café.",
    "Cacilhas, ten minutes by ferry, has grilled fish and the best view back over the city.",
    "Miradouro da Graça is the sunset terrace that locals prefer.",
)
_COMPARISON = (
    (
        "openai",
        "gpt-4.1-mini",
        (
            "A cancelled connection never runs, so the carrier must rebook or refund you. "
            "A missed one ran without you; a free rebooking depends on whose fault the delay was."
        ),
    ),
    (
        "groq",
        "openai/gpt-oss-120b",
        (
            "Cancelled means the train will not run and you choose a refund or a new journey. "
            "Missed means it left before you arrived; on a through ticket you may take the next one."
        ),
    ),
    (
        "mistral",
        "mistral-small-latest",
        (
            "If it is cancelled, the operator owes you a new route or your money. "
            "If you missed it, you are owed a new route only when the operator's delay was the reason."
        ),
    ),
    (
        "deepseek",
        "deepseek-v4-flash",
        (
            "A cancelled connection does not depart at all. "
            "A missed one departs on time while you are late, and your rights follow from the cause."
        ),
    ),
    (
        "xai",
        "grok-4.5",
        (
            "Cancelled: it is not going, take the refund or the next one. "
            "Missed: it went, you did not, so check who made you late."
        ),
    ),
)


def support_session(desk: Desk) -> None:
    """A customer's chat in three streamed turns, one session."""
    messages: list[JSON] = [{"role": "system", "content": _CONCIERGE}]
    headers = {
        "X-LLMFlow-Session-Id": "chat-4711",
        "X-LLMFlow-User-Id": "anna.berg",
        "X-LLMFlow-Tags": "support,web",
        "X-LLMFlow-Prompt": "concierge@3",
    }
    for number, (question, reply) in enumerate(_TURNS):
        messages = [*messages, {"role": "user", "content": question}]
        request = _request("gpt-5-mini", messages, stream=True)
        answer = Answer(reply, model="gpt-5-mini-2025-08-07", cached_tokens=number * 64, thinking_s=0.35)
        desk.call("openai", request, answer, headers=headers)
        messages = [*messages, {"role": "assistant", "content": reply}]
        desk.work(0.4)


def tool_loop(desk: Desk) -> None:
    """A question that needs a tool: call, result, answer, in one trace."""
    question: JSON = {"role": "user", "content": "When does booking HT-20931 leave, and from which platform?"}
    tools = [_BOOKING_TOOL]
    with desk.span("chain", "answer booking question", given=question["content"]) as chain:
        calls = (("call_8Kd2", "find_booking", {"reference": "HT-20931"}),)
        first = _request("gpt-4.1-mini", [question], tools=tools, tool_choice="auto")
        desk.call("openai", first, Answer(tool_calls=calls), headers=chain.headers)
        booking = {"reference": "HT-20931", "departs": "17:42", "platform": "9", "status": "on time"}
        with desk.span("tool", "find_booking", parent=chain, given=calls[0][2]) as tool:
            desk.work(0.12)
            tool.output = booking
        asked = {"id": "call_8Kd2", "type": "function"}
        function = {"name": "find_booking", "arguments": '{"reference": "HT-20931"}'}
        messages = [
            question,
            {"role": "assistant", "content": None, "tool_calls": [asked | {"function": function}]},
            {"role": "tool", "tool_call_id": "call_8Kd2", "content": str(booking)},
        ]
        second = _request("gpt-4.1-mini", messages, tools=tools, stream=True)
        reply = "It leaves at 17:42 from platform 9 and is on time."
        desk.call("openai", second, Answer(reply), headers=chain.headers)
        chain.output = reply


def weekend_agent(desk: Desk) -> None:
    """An agent that plans a weekend: nested spans around retrieval, tools and three models."""
    goal = "Plan a relaxed weekend in Lisbon for two, under 600 euros, arriving Friday evening."
    with desk.span("agent", "weekend planner", given=goal) as agent:
        agent.attributes = {"gen_ai.agent.name": "weekend planner", "budget_eur": 600}
        plan = "1. Find quiet sights. 2. Check the ferry and the weather. 3. Write the plan."
        request = _ask("gpt-5.2", f"Make a plan of steps: {goal}")
        desk.call("openai", request, Answer(plan, reasoning_tokens=384, thinking_s=0.7), headers=agent.headers)
        with desk.span("retrieval", "search city guide", parent=agent, given="quiet sights in Lisbon") as search:
            query = {"model": "text-embedding-3-small", "input": ["quiet sights in Lisbon"]}
            desk.call("openai", query, Answer(thinking_s=0.08), headers=search.headers, path="/embeddings")
            desk.work(0.03)
            search.output = [{"text": text, "score": 0.91 - 0.07 * i} for i, text in enumerate(_GUIDE)]
        with desk.span("chain", "check the day", parent=agent) as check:
            _tool(desk, check, "ferry_times", {"date": "Saturday"}, ["10:10", "10:40", "11:10"])
            _tool(desk, check, "weather", {"city": "Lisbon"}, {"saturday": "22 °C, sunny", "sunday": "19 °C, clouds"})
        text = (
            "Friday: tapas near the station, early night. Saturday: tram 28 at nine, Alfama on foot, the 11:10 ferry "
            "to Cacilhas for lunch, sunset at Graça. Sunday: tile museum, courtyard café, train at four. 540 euros."
        )
        ask = f"Write the weekend as three short paragraphs. Guide: {' '.join(_GUIDE)}"
        request = _ask("mistral-large-latest", ask, stream=True)
        desk.call("mistral", request, Answer(text), headers=agent.headers)
        with desk.span("guardrail", "budget check", parent=agent, given={"limit": 600}) as guard:
            guard.output = {"total": 540, "passed": True}
        agent.output = text


def _tool(desk: Desk, parent: Step, name: str, given: JSON, output: Any) -> None:
    with desk.span("tool", name, parent=parent, given=given) as tool:
        desk.work(0.1)
        tool.output = output


def vendor_comparison(desk: Desk) -> None:
    """One question to five vendors, to compare time and price."""
    question = "Explain the difference between a cancelled and a missed connection to a traveller, in two sentences."
    for index, (provider, model, reply) in enumerate(_COMPARISON):
        desk.call(
            provider,
            _ask(model, question, temperature=0.2),
            Answer(reply, thinking_s=0.2 + 0.12 * index),
            headers={"X-LLMFlow-Tags": "comparison", "X-LLMFlow-Session-Id": "vendor-comparison"},
        )


def failures(desk: Desk) -> None:
    """What goes wrong in real life: a rate limit, a wrong key, a server error and its retry, a cut stream."""
    notices = "Summarise today's disruption notices for the north line."
    limit = Answer("Rate limit reached for requests per minute. Try again in 2s.", status=429, error_type="rate_limit")
    desk.call("groq", _ask("openai/gpt-oss-120b", notices), limit)
    refused = Answer("Incorrect API key provided.", status=401, error_type="invalid_api_key", thinking_s=0.05)
    desk.call("mistral", _ask("mistral-small-latest", notices), refused)
    broken = Answer("The server had an error while processing your request.", status=500, error_type="server_error")
    request = _ask("gpt-4.1-mini", notices)
    trace = {"X-Trace-Id": "north-line-notices-0817"}
    desk.call("openai", request, broken, headers=trace)
    desk.work(0.3)
    reply = "Two notices: works between Aveiro and Ovar until noon, and a replacement bus from Espinho after 22:00."
    desk.call("openai", request, Answer(reply), headers=trace)
    text = "Welcome to Harbor Central. Trains to the coast leave from platforms one to four, and the ferry terminal is"
    request = _ask("deepseek-v4-flash", "Write a long welcome text for the station screens.", stream=True)
    desk.call("deepseek", request, Answer(text, cut_after=14))


def photo_question(desk: Desk) -> None:
    """A picture in a message, as a data URL, and a structured answer."""
    picture = "data:image/png;base64," + base64.b64encode(_sunset_png()).decode()
    content = [
        {"type": "text", "text": "Which of our destinations does this sky suggest? Answer as JSON."},
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
    ]
    request = _ask("gpt-4o", content, response_format={"type": "json_object"})
    reply = '{"destination": "Lisbon", "reason": "a low orange sun over water", "confidence": 0.82}'
    desk.call("openai", request, Answer(reply, model="gpt-4o-2024-08-06", thinking_s=0.5))


def index_guides(desk: Desk) -> None:
    """A batch of embeddings, as an indexing job makes them."""
    request = {"model": "text-embedding-3-small", "input": list(_GUIDE), "dimensions": 256}
    headers = {"X-LLMFlow-Tags": "batch,index", "X-LLMFlow-Metadata": '{"job": "nightly-index", "shard": 3}'}
    desk.call("openai", request, Answer(thinking_s=0.15), headers=headers, path="/embeddings")


SCENES: tuple[Callable[[Desk], None], ...] = (
    support_session,
    tool_loop,
    weekend_agent,
    vendor_comparison,
    failures,
    photo_question,
    index_guides,
)


def _request(model: str, messages: list[JSON], **more: Any) -> JSON:
    return {"model": model, "messages": messages, **more}


def _ask(model: str, content: object, **more: Any) -> JSON:
    return _request(model, [{"role": "user", "content": content}], **more)


def _sunset_png(width: int = 96, height: int = 64) -> bytes:
    """Draw a small sunset."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            in_sun = (x - width / 2) ** 2 + (y - height * 0.6) ** 2 < 144
            is_sea = y > height * 0.62
            sky = (255 - y, 120 + y, 90 + y * 2)
            rows += bytes((255, 214, 120) if in_sun and not is_sea else (30, 60, 110 + x % 9) if is_sea else sky)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
