from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from simulator.cloud_api.outage import Call, Outages, OutageShape, OutageSpec
from tests.simulator.cloud_api.helpers import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def outages(clock: HandClock) -> Outages:
    return Outages(clock, Random(1))


def _spec(**fields: Any) -> OutageSpec:
    return OutageSpec.model_validate({"shape": "html_502"} | fields)


def _hits(outages: Outages, call: Call = Call.MESSAGES, number: str = "n") -> bool:
    return outages.hit(call, number) is not None


def test_nothing_is_hit_without_an_outage(outages: Outages) -> None:
    assert not outages.active
    assert not _hits(outages)


def test_it_begins_and_ends_by_the_clock(outages: Outages, clock: HandClock) -> None:
    outages.begin(_spec(after_s=5, seconds=10))
    found = []
    for at in (0, 4.9, 5, 14.9, 15):
        clock.at = at
        found.append(_hits(outages))
    assert found == [False, False, True, True, False]
    assert not outages.active


def test_without_an_end_it_lasts_until_it_is_ended(outages: Outages, clock: HandClock) -> None:
    outage = outages.begin(_spec())
    clock.at = 1e6
    assert _hits(outages)
    assert outages.end() == 1
    assert not outages.active
    assert outage.ends_at == 1e6
    assert outages.end() == 0


def test_one_of_several_is_ended(outages: Outages) -> None:
    first, second = outages.begin(_spec()), outages.begin(_spec(shape="empty_200"))
    assert outages.end(first.id) == 1
    assert outages.active
    assert outages.hit(Call.MESSAGES, "n") is second


def test_only_the_number_that_is_meant(outages: Outages) -> None:
    outages.begin(_spec(phone_number_id="n"))
    assert _hits(outages, number="n")
    assert not _hits(outages, number="m")


def test_only_the_calls_that_are_meant(outages: Outages) -> None:
    outages.begin(_spec(of=["messages"]))
    assert [call for call in Call if _hits(outages, call)] == [Call.MESSAGES]
    outages.end()
    outages.begin(_spec())
    assert all(_hits(outages, call) for call in Call)


def test_share(outages: Outages) -> None:
    outages.begin(_spec(share=0.3))
    assert 200 < sum(_hits(outages) for _ in range(1000)) < 400


def test_flapping_is_down_and_up_in_turns(outages: Outages, clock: HandClock) -> None:
    outages.begin(_spec(shape="flapping", down_s=2, up_s=3, while_down="reset"))
    down = []
    for at in range(10):
        clock.at = at
        if _hits(outages):
            down.append(at)
    assert down == [0, 1, 5, 6]


def test_hits_are_counted_by_call(outages: Outages) -> None:
    outage = outages.begin(_spec())
    for call in (Call.MESSAGES, Call.MESSAGES, Call.NUMBER):
        outages.hit(call, "n")
    assert outage.hits == {Call.MESSAGES: 2, Call.NUMBER: 1}
    assert outages.hits == {"html_502": {"messages": 2, "number": 1}}


def test_those_that_are_over_are_remembered_up_to_a_number(outages: Outages) -> None:
    for _ in range(150):
        outages.begin(_spec())
        outages.end()
    assert [one.id for one in outages.list()] == list(range(51, 151))


def test_shape_while_down() -> None:
    assert _spec(shape="flapping").shape_when_down is OutageShape.HTML_502
    assert _spec(shape="reset", while_down="html_200").shape_when_down is OutageShape.RESET


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": "unheard_of"},
        {"seconds": 0},
        {"share": 1.1},
        {"of": []},
        {"of": ["unheard_of"]},
        {"shape": "reset", "accepted": True},
        {"shape": "flapping", "while_down": "reset", "accepted": True},
        {"while_down": "flapping"},
        {"second": 1},
    ],
)
def test_outages_that_make_no_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _spec(**fields)
