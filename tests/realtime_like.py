"""A scripted Realtime server: the events OpenAI's sends for a text turn, a spoken turn and a tool call."""

from __future__ import annotations

import contextlib
import json
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

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


class RealtimeLike:
    """The server, in a thread: `.url` (http://…), and per session what it heard."""

    def __init__(self, *, pieces: int = 3) -> None:
        self.heard: list[dict] = []
        self.headers = None
        self._pieces = pieces
        self._server = serve(self._talk, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)

    def _talk(self, socket: ServerConnection) -> None:
        self.headers = socket.request.headers
        with contextlib.suppress(ConnectionClosed):
            socket.send(json.dumps({"type": "session.created", "event_id": "e", "session": SESSION}))
            for message in socket:
                event = json.loads(message)
                self.heard.append(event)
                for answered in self._answers(event):
                    socket.send(json.dumps(answered))

    def _answers(self, event: dict) -> list[dict]:
        kind = event["type"]
        if kind == "session.update":
            return [{"type": "session.updated", "event_id": "e", "session": {**SESSION, **event["session"]}}]
        if kind == "input_audio_buffer.commit":
            return [heard_event("What is it like in Rome?")]
        if kind == "response.create":
            wants_tool = (event.get("response") or {}).get("tool_choice") == "required"
            return answer_events(call_item() if wants_tool else message_item("It is sunny."), self._pieces)
        if kind == "nonsense":
            error = {"type": "invalid_request_error", "code": "unknown", "message": "No such event"}
            return [{"type": "error", "event_id": "e", "error": error}]
        return []
