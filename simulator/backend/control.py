"""``/_simulator``: what the backend has done, and faults on demand. Not signed."""

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.backend.body import JSON, error_answer
from simulator.backend.engine import Engine
from simulator.backend.faults import Fault


def control_routes(engine: Engine) -> list[Route]:
    async def report(_request: Request) -> Response:
        return JSON(engine.report.as_json(engine.statements))

    async def list_faults(_request: Request) -> Response:
        return JSON({"faults": engine.faults.as_json()})

    async def add_fault(request: Request) -> Response:
        try:
            fault = Fault.model_validate_json(await request.body())
        except ValidationError as error:
            return error_answer(400, "request_invalid", str(error))
        engine.faults.add(fault)
        return JSON({"faults": engine.faults.as_json()})

    async def clear_faults(_request: Request) -> Response:
        engine.faults.clear()
        return JSON({"faults": []})

    return [
        Route("/_simulator/report", report, methods=["GET"]),
        Route("/_simulator/faults", list_faults, methods=["GET"]),
        Route("/_simulator/faults", add_fault, methods=["POST"]),
        Route("/_simulator/faults", clear_faults, methods=["DELETE"]),
    ]
