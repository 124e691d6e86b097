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
#: What is answered in the end, or in turns, need not be called down.
_NOT_DOWN = (OutageShape.SLOW, OutageShape.FLAPPING)
_POLL_S = 0.5
#: The longest pause between two probes, and some more: then status knows that nobody probes any
#: more, because there is nothing to send.
_OVER_S = 40.0
_SENDS = (Call.MESSAGES, Call.MARKETING_MESSAGES)


class Outages:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def bring(self, fault: Fault) -> dict[str, Any]:
        """Have an outage, and return when it is over: how many sends it has hit, and whether it was
        named, if it had to be."""
        end = time.monotonic() + fault.for_s
        self._stage.order("outages", {"shape": fault.target, "seconds": fault.for_s})
        named = None if fault.target in _NOT_DOWN else self._is_named_before(end, fault)
        time.sleep(max(0.0, end - time.monotonic()))
        hits = self._hits(fault)
        return {"calls": sum(hits.get(call, 0) for call in _SENDS), "named": named}

    def _is_named_before(self, end: float, fault: Fault) -> bool | None:
        """Return whether the outage is named while it lasts; None if nobody was asked in time. It
        has to be as soon as a number is asked for itself, for then it is known to be down."""
        named = None
        while time.monotonic() < end:
            known = self._hits(fault).get(Call.NUMBER, 0) > 0
            if DOWN in problems(self._stage):
                return True
            if known and time.monotonic() < end:
                named = False
            time.sleep(max(0.0, min(_POLL_S, end - time.monotonic())))
        return named

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


def wait_until_over(stage: Stage) -> None:
    """Wait until no outage is named any more, for a while at most."""
    end = time.monotonic() + _OVER_S
    while DOWN in problems(stage) and time.monotonic() < end:
        time.sleep(_POLL_S)
