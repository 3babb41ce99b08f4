"""A scripted Realtime server: the events OpenAI's sends for a text turn, a spoken turn and a tool call."""

from __future__ import annotations

import contextlib
import json
import threading

from realtime_events import SESSION, answer_events, call_item, heard_event, message_item
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve


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
        self._thread.join(60)

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
