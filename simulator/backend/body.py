"""Reading bodies, and answering with JSON."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from contracts.backend import ErrorCode
from simulator.backend.jsontext import dump_bytes
from simulator.backend.refusal import Refused

#: A body over the limit is read and thrown away up to this many times the limit, so that the
#: caller gets to read the answer.
_DRAIN = 4


class JSON(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dump_bytes(content)


def error_answer(status: int, code: str, message: str) -> JSON:
    """Return :class:`contracts.backend.ErrorAnswer`."""
    return JSON({"error": {"code": code, "message": message}}, status)


def refused_answer(refused: Refused) -> JSON:
    return error_answer(refused.status, refused.code.value, str(refused))


async def read_body(request: Request, limit: int) -> bytes:
    """Return the exact bytes of the body, or refuse the call if there are too many."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
        elif size > _DRAIN * limit:
            break
    if size > limit:
        raise Refused(ErrorCode.BODY_TOO_LARGE, f"the body has more than {limit} bytes")
    return b"".join(parts)


def request_target(request: Request) -> str:
    """Return path and query as they went over the wire."""
    raw_path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (raw_path + b"?" + query if query else raw_path).decode("latin-1")
