"""Reading orders, and answering them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from simulator.cloud_api.number import Number, Numbers

Model = TypeVar("Model", bound=BaseModel)

_LINES_AT_ONCE = 500


async def read_order(request: Request, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(400, orjson.dumps(details, default=str).decode()) from None


def ordered_number(numbers: Numbers, phone_number_id: str | None) -> Number:
    """Return the number that an order names; the first one, if it names none."""
    if phone_number_id is None:
        return numbers.first()
    number = numbers.get(phone_number_id)
    if number is None:
        raise HTTPException(404, f"there is no number {phone_number_id!r}")
    return number


def json_answer(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def lines_answer(lines: Iterable[bytes]) -> Response:
    """Answer with one JSON object a line, however many there are."""

    async def chunks() -> AsyncIterator[bytes]:
        chunk: list[bytes] = []
        for line in lines:
            chunk.append(line)
            if len(chunk) == _LINES_AT_ONCE:
                yield b"".join(chunk)
                chunk.clear()
                await asyncio.sleep(0)
        yield b"".join(chunk)

    return StreamingResponse(chunks(), media_type="application/x-ndjson")
