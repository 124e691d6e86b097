"""A Cloud API for the application's own crons."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


class CloudApi:
    """Answers each message with ``answer``; a text is taken, always."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("/v26.0")
        self.requests: list[Request] = []
        #: When each came, in seconds of a clock that only goes forward.
        self.times: list[float] = []
        self.status = 200
        self.answer: dict[str, Any] | None = None

    @property
    def messages(self) -> list[Any]:
        return [orjson.loads(request.get_data()) for request in self.requests]

    def respond(self, request: Request) -> Response:
        self.requests.append(request)
        self.times.append(time.monotonic())
        message = orjson.loads(request.get_data())
        sent = {
            "contacts": [{"input": message.get("to"), "wa_id": message.get("to")}],
            "messages": [{"id": f"wamid.{len(self.requests)}", "message_status": "accepted"}],
        }
        return Response(orjson.dumps(self.answer or sent), self.status)


@contextmanager
def cloud_api() -> Iterator[CloudApi]:
    with HTTPServer(threaded=True) as server:
        api = CloudApi(server)
        server.expect_request(re.compile(".*")).respond_with_handler(api.respond)
        yield api
