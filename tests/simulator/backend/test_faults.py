import pytest

from contracts.backend import UpdateKind
from simulator.backend.envelope import Part
from simulator.backend.faults import Fault, FaultKind, Faults, UpdatePoisoned

ENDPOINT = "process-webhooks"


def _strikes(faults: Faults, calls: int, body: bytes = b"") -> int:
    return sum(faults.for_call(ENDPOINT, body) is not None for _ in range(calls))


def test_it_strikes_as_often_as_it_was_told() -> None:
    faults = Faults()
    faults.add(Fault(kind=FaultKind.CLOSE, times=3))
    assert _strikes(faults, 10) == 3
    assert faults.as_json() == []


def test_without_a_number_it_stays() -> None:
    faults = Faults()
    faults.add(Fault(kind=FaultKind.CLOSE))
    assert _strikes(faults, 10) == 10
    faults.clear()
    assert _strikes(faults, 10) == 0


@pytest.mark.parametrize(("share", "struck"), [(0.1, 10), (0.25, 25), (0.3, 30), (1.0, 100)])
def test_a_share_of_the_calls_is_struck(share: float, struck: int) -> None:
    faults = Faults()
    faults.add(Fault(kind=FaultKind.EMPTY, share=share))
    assert _strikes(faults, 100) == struck


def test_other_endpoints_are_spared() -> None:
    faults = Faults()
    faults.add(Fault(kind=FaultKind.CLOSE, endpoint=ENDPOINT))
    assert faults.for_call("claim-messages", b"") is None
    assert _strikes(faults, 1) == 1


def test_only_bodies_with_the_text_are_struck() -> None:
    faults = Faults()
    faults.add(Fault(kind=FaultKind.CLOSE, body_contains="poison"))
    assert _strikes(faults, 3, b"healthy") == 0
    assert _strikes(faults, 3, b"a poison b") == 3


def test_update_faults_strike_updates_alone() -> None:
    faults = Faults()
    faults.add(Fault(kind=FaultKind.UPDATE_ERROR, body_contains="poison", times=1))
    good = Part(UpdateKind.MESSAGE, "messages", {}, {"id": "healthy"}, {})
    bad = good._replace(element={"id": "poison"})
    assert _strikes(faults, 1, b"poison") == 0
    faults.check_update(good)
    with pytest.raises(UpdatePoisoned):
        faults.check_update(bad)
    faults.check_update(bad)
