"""The control endpoints for media."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.lenient import StrictModel
from simulator.cloud_api.control_http import json_answer, lines_answer, ordered_number, read_order
from simulator.cloud_api.media import Media, MediaLibrary, sha256_of
from simulator.cloud_api.media_fault import MediaFaults, MediaFaultSpec
from simulator.cloud_api.number import Number, Numbers

#: Meta takes 100 MB; more is for those who look whether their own limit holds.
MAX_BYTES = 200_000_000


class MediaOrder(StrictModel):
    mime_type: str = "image/jpeg"
    size: int = Field(ge=1, le=MAX_BYTES)
    phone_number_id: str | None = None


class MediaControl:
    def __init__(self, library: MediaLibrary, faults: MediaFaults, numbers: Numbers) -> None:
        self._library = library
        self._faults = faults
        self._numbers = numbers

    def routes(self) -> list[Route]:
        return [
            Route("/media", self.show, methods=["GET"]),
            Route("/media", self.add, methods=["POST"]),
            Route("/media-faults", self.list_faults, methods=["GET"]),
            Route("/media-faults", self.add_fault, methods=["POST"]),
            Route("/media-faults", self.clear_faults, methods=["DELETE"]),
        ]

    async def show(self, _request: Request) -> Response:
        return lines_answer(self._lines())

    async def add(self, request: Request) -> Response:
        order = await read_order(request, MediaOrder)
        number = ordered_number(self._numbers, order.phone_number_id)
        media = await make_media(self._library, number, order.mime_type, order.size)
        return json_answer(_media(media), 201)

    async def list_faults(self, _request: Request) -> Response:
        return json_answer([_fault(spec, hits) for spec, hits in self._faults.list()])

    async def add_fault(self, request: Request) -> Response:
        spec = await read_order(request, MediaFaultSpec)
        self._faults.add(spec)
        return json_answer(_fault(spec, 0), 201)

    async def clear_faults(self, _request: Request) -> Response:
        return json_answer({"cleared": self._faults.clear()})

    def _lines(self) -> Iterator[bytes]:
        for media in tuple(self._library):
            yield orjson.dumps(_media(media)) + b"\n"


async def make_media(library: MediaLibrary, number: Number, mime_type: str, size: int) -> Media:
    """Make a medium of any size, and answer others meanwhile."""
    media_id = library.new_id()
    digest = await asyncio.to_thread(sha256_of, media_id, size)
    return library.keep(Media(media_id, number, mime_type, size, digest))


def _media(media: Media) -> dict[str, Any]:
    return {
        "id": media.id,
        "phone_number_id": media.number.phone_number_id,
        "mime_type": media.mime_type,
        "file_size": media.size,
        "sha256": media.webhook_sha256,
        "sha256_hex": media.sha256.hex(),
        "addresses": media.addresses,
        "downloads": media.downloads,
    }


def _fault(spec: MediaFaultSpec, hits: int) -> dict[str, Any]:
    return {"hits": hits, **spec.model_dump(mode="json")}
