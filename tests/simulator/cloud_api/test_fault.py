from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from simulator.cloud_api.fault import FaultKind, Faults, FaultSpec
from tests.simulator.cloud_api.helpers import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def faults(clock: HandClock) -> Faults:
    return Faults(clock, Random(1))


def _spec(**fields: Any) -> FaultSpec:
    return FaultSpec.model_validate(fields)


def _hit(faults: Faults, number: str = "n", digits: str = "49151") -> FaultKind | None:
    fault = faults.after_read(number, digits)
    return None if fault is None else fault.spec.kind


def test_no_rules(faults: Faults) -> None:
    assert not faults.active
    assert _hit(faults) is None


def test_times_are_used_up(faults: Faults) -> None:
    fault = faults.add(_spec(kind="http_500", times=2))
    assert faults.active
    assert [_hit(faults) for _ in range(3)] == [FaultKind.HTTP_500, FaultKind.HTTP_500, None]
    assert fault.hits == 2
    assert faults.hits == {"http_500": 2}


def test_oldest_rule_goes_first(faults: Faults) -> None:
    faults.add(_spec(kind="http_500", times=1))
    faults.add(_spec(kind="slow"))
    assert [_hit(faults), _hit(faults)] == [FaultKind.HTTP_500, FaultKind.SLOW]


def test_only_the_number_and_recipient_that_are_meant(faults: Faults) -> None:
    faults.add(_spec(kind="slow", phone_number_id="n", to="+49 151"))
    assert _hit(faults, "m") is None
    assert _hit(faults, "n", "49152") is None
    assert _hit(faults, "n", "49151") is FaultKind.SLOW


def test_share(faults: Faults) -> None:
    faults.add(_spec(kind="slow", share=0.3))
    assert 200 < sum(_hit(faults) is not None for _ in range(1000)) < 400


def test_reset_before_read_is_asked_for_apart(faults: Faults) -> None:
    faults.add(_spec(kind="reset_before_read"))
    assert _hit(faults) is None
    assert faults.before_read("n") is not None


def test_throttle_lasts(faults: Faults, clock: HandClock) -> None:
    faults.add(_spec(kind="throttle", seconds=10))
    assert _hit(faults) is FaultKind.THROTTLE
    clock.at = 9.9
    assert _hit(faults) is FaultKind.THROTTLE
    clock.at = 10.0
    assert _hit(faults) is None


def test_seconds_have_defaults(faults: Faults) -> None:
    assert faults.add(_spec(kind="timeout_after_accept")).seconds == 60
    assert faults.add(_spec(kind="slow")).seconds == 1
    assert faults.add(_spec(kind="slow", seconds=0.5)).seconds == 0.5


def test_clear(faults: Faults) -> None:
    faults.add(_spec(kind="slow"))
    faults.add(_spec(kind="error", code=131026))
    assert [one.id for one in faults.list()] == [1, 2]
    assert faults.clear() == 2
    assert not faults.active
    assert _hit(faults) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "error"},
        {"kind": "slow", "code": 1},
        {"kind": "reset_before_read", "to": "49151"},
        {"kind": "slow", "seconds": 0},
        {"kind": "slow", "times": 0},
        {"kind": "slow", "share": 1.1},
        {"kind": "unheard_of"},
        {"kind": "slow", "second": 1},
    ],
)
def test_rules_that_make_no_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _spec(**fields)
