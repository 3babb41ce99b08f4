"""Events as OpenAI's Realtime API sends them: a spoken answer, a tool call, what was heard."""

from __future__ import annotations

MODEL = "gpt-realtime"
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
SESSION = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": MODEL}


def message_item(text: str) -> dict:
    content = [{"type": "output_audio", "transcript": text}]
    return {"id": "item_1", "type": "message", "status": "completed", "role": "assistant", "content": content}


def call_item() -> dict:
    return {
        "id": "item_2",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": '{"place":"Rome"}',
    }


def done(item: dict, usage: dict = USAGE, **more: object) -> dict:
    response = {"id": "resp_1", "object": "realtime.response", "status": "completed", "output": [item], "usage": usage}
    return {"type": "response.done", "event_id": "event_9", "response": {**response, **more}}


def answer_events(item: dict, pieces: int = 3) -> list[dict]:
    sound = {"type": "response.output_audio.delta", "event_id": "e", "response_id": "resp_1", "item_id": "item_1"}
    return [
        {"type": "response.created", "event_id": "e", "response": {"id": "resp_1", "status": "in_progress"}},
        *({**sound, "output_index": 0, "content_index": 0, "delta": "QUJD" * 400} for _ in range(pieces)),
        done(item),
    ]


def heard_event(text: str) -> dict:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "event_id": "e",
        "item_id": "item_0",
        "content_index": 0,
        "transcript": text,
        "usage": {"type": "duration", "seconds": 2},
    }
