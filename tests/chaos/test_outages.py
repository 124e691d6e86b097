"""Whether an outage was named while it lasted. What `sidecar status` and the Cloud API say is made
up here; the rounds have real ones."""

from typing import Any, cast

import pytest

from simulator.chaos.fault import Fault, Kind
from simulator.chaos.outages import DOWN, Outages
from simulator.chaos.stage import Stage
from simulator.processes import ProcessFailed


class Said:
    """A stage on which `sidecar status` says these things in turn, the last one for ever, and
    numbers are asked for themselves or not."""

    def __init__(self, *said: list[str] | None, asked: int = 1) -> None:
        self._said = list(said)
        self._hits = {"messages": 7, "marketing_messages": 2, "number": asked}
        self.ordered: list[dict[str, Any]] = []

    def order(self, what: str, order: dict[str, Any]) -> None:
        assert what == "outages"
        self.ordered.append(order)

    def ask(self, what: str) -> Any:
        assert what == "outages"
        return [{"shape": one["shape"], "hits": self._hits} for one in self.ordered]

    def status(self) -> dict[str, Any]:
        said = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        if said is None:
            raise ProcessFailed("it cannot be told")
        return {"problems": [{"code": code} for code in said]}


def bring(stage: Said, shape: str = "html_502") -> dict[str, Any]:
    return Outages(cast(Stage, stage)).bring(Fault(0.0, Kind.OUTAGE, shape, for_s=0.2))


@pytest.mark.parametrize(
    ("stage", "named"),
    [
        (Said([DOWN]), True),
        (Said(["rows-unknown"]), False),
        (Said(None), False),
        # Nobody has found it: there was nothing to send.
        (Said([], asked=0), None),
    ],
)
def test_whether_an_outage_was_named(stage: Said, named: bool | None) -> None:
    assert bring(stage) == {"calls": 9, "named": named}
    assert stage.ordered == [{"shape": "html_502", "seconds": 0.2}]


@pytest.mark.parametrize("shape", ["slow", "flapping"])
def test_what_is_not_down(shape: str) -> None:
    assert bring(Said([]), shape)["named"] is None
