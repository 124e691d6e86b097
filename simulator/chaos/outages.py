"""Outages of the whole Cloud API, and whether ``sidecar status`` tells of them meanwhile."""

import subprocess
import time
from typing import Any

import orjson

from simulator.chaos.fault import Fault
from simulator.chaos.stage import Stage
from simulator.cloud_api.outage import Call, OutageShape
from simulator.processes import ProcessFailed

DOWN = "cloud-api-down"
#: An outage is named within this time. That nothing is answered is seen after some seconds only.
NAMED_S = 5.0
_UNSEEN_S = {OutageShape.BLACK_HOLE: 4.0}
#: What is answered in the end, or in turns, need not be called down.
_NOT_DOWN = (OutageShape.SLOW, OutageShape.FLAPPING)
_POLL_S = 1.0
_SENDS = (Call.MESSAGES, Call.MARKETING_MESSAGES)


class Outages:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def bring(self, fault: Fault) -> dict[str, Any]:
        """Have an outage, and return when it is over: how many sends it has hit, and whether it was
        named, if it had to be."""
        end = time.monotonic() + fault.for_s
        self._stage.order("outages", {"shape": fault.target, "seconds": fault.for_s})
        named = self._is_named_before(end) if fault.for_s >= NAMED_S else False
        time.sleep(max(0.0, end - time.monotonic()))
        hits = self._hits(fault)
        seen_s = fault.for_s - _UNSEEN_S.get(OutageShape(fault.target), 0.0)
        # A number that answers nothing is asked for itself only once it is known to be down.
        must = fault.target not in _NOT_DOWN and seen_s >= NAMED_S and hits.get(Call.NUMBER, 0) > 0
        return {
            "calls": sum(hits.get(call, 0) for call in _SENDS),
            "named": named if must else None,
        }

    def _is_named_before(self, end: float) -> bool:
        while time.monotonic() < end:
            if DOWN in problems(self._stage):
                return True
            time.sleep(max(0.0, min(_POLL_S, end - time.monotonic())))
        return False

    def _hits(self, fault: Fault) -> dict[str, int]:
        outages: Any = self._stage.ask("outages")
        found: dict[str, int] = next(o for o in outages if o["shape"] == fault.target)["hits"]
        return found


def problems(stage: Stage) -> list[str]:
    """Return the codes of what ``sidecar status`` says is wrong; none while it cannot tell."""
    try:
        status = stage.status()
    except (ProcessFailed, subprocess.TimeoutExpired, orjson.JSONDecodeError):
        return []
    return [problem["code"] for problem in status["problems"]]
