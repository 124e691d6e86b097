"""The control endpoints for outages."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.cloud_api.control_http import json_answer, read_order
from simulator.cloud_api.outage import Outage, Outages, OutageSpec


class OutageControl:
    def __init__(self, outages: Outages) -> None:
        self._outages = outages

    def routes(self) -> list[Route]:
        return [
            Route("/outages", self.show, methods=["GET"]),
            Route("/outages", self.begin, methods=["POST"]),
            Route("/outages", self.end, methods=["DELETE"]),
        ]

    async def show(self, _request: Request) -> Response:
        return json_answer([_outage(one) for one in self._outages.list()])

    async def begin(self, request: Request) -> Response:
        outage = self._outages.begin(await read_order(request, OutageSpec))
        return json_answer(_outage(outage), 201)

    async def end(self, request: Request) -> Response:
        wanted = request.query_params.get("id")
        if wanted is not None and not wanted.isdecimal():
            raise HTTPException(400, "`id` is a number: that of an outage")
        return json_answer({"ended": self._outages.end(None if wanted is None else int(wanted))})


def _outage(outage: Outage) -> dict[str, Any]:
    return {
        "id": outage.id,
        "begins_at": round(outage.begins_at * 1000),
        "ends_at": None if outage.ends_at is None else round(outage.ends_at * 1000),
        "hits": {call.value: hits for call, hits in outage.hits.items()},
        **outage.spec.model_dump(mode="json"),
    }
