"""The control endpoints for odd payloads."""

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.lenient import StrictModel
from simulator.cloud_api.control_http import (
    json_answer,
    lines_answer,
    ordered_number,
    read_order,
)
from simulator.cloud_api.number import Number, Numbers
from simulator.cloud_api.odd.catalogue import kinds
from simulator.cloud_api.odd.posting import OddPosts
from simulator.cloud_api.scheduler import Scheduler


class OddOrder(StrictModel):
    """``kinds`` one after the other, as often as ``times`` says; or ``count`` of them at random,
    those of several ``steps`` included or not. ``per_s`` spreads them over time."""

    phone_number_id: str | None = None
    kinds: list[str] | None = None
    times: int = Field(default=1, ge=1, le=1_000)
    count: int = Field(default=1, ge=1, le=100_000)
    steps: bool = True
    per_s: float | None = Field(default=None, gt=0)


class OddControl:
    def __init__(self, odd: OddPosts, numbers: Numbers, scheduler: Scheduler) -> None:
        self._odd = odd
        self._numbers = numbers
        self._scheduler = scheduler

    def routes(self) -> list[Route]:
        return [
            Route("/odd", self.show, methods=["GET"]),
            Route("/odd", self.post, methods=["POST"]),
            Route("/odd/kinds", self.show_kinds, methods=["GET"]),
        ]

    async def show(self, _request: Request) -> Response:
        return lines_answer(self._odd.lines())

    async def show_kinds(self, _request: Request) -> Response:
        return json_answer(
            [
                {"kind": one.name, "about": one.about, "random": one.random}
                for one in kinds().values()
            ]
        )

    async def post(self, request: Request) -> Response:
        order = await read_order(request, OddOrder)
        number = ordered_number(self._numbers, order.phone_number_id)
        if number.subscription is None:
            raise HTTPException(409, "there is no webhook URL: set one by POST webhook-url")
        names: list[str | None] = [None] * order.count
        if order.kinds is not None:
            if unknown := set(order.kinds) - set(kinds()):
                raise HTTPException(400, f"no known kinds: {sorted(unknown)}")
            names = [*order.kinds * order.times]
        for at, name in enumerate(names):
            if order.per_s is None:
                self._post(number, name, steps=order.steps)
            else:
                self._scheduler.after(
                    at / order.per_s,
                    lambda name: self._post(number, name, steps=order.steps),
                    name,
                )
        return json_answer({"uses": len(names)})

    def _post(self, number: Number, name: str | None, *, steps: bool) -> None:
        kind = self._odd.draw(number, steps=steps) if name is None else kinds()[name]
        self._odd.post(number, kind)
