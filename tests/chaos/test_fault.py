import pytest

from simulator.chaos.fault import (
    API_FAULTS,
    BEGIN_S,
    CLOCKS,
    LONGEST_OUTAGE_S,
    MAX_FAULTS,
    OUTAGE_S,
    PARTS,
    RATES,
    TOLD,
    Fault,
    Kind,
    draw_faults,
)
from simulator.chaos.load import draw_load
from simulator.cloud_api.fault import FaultSpec
from simulator.cloud_api.outage import OutageShape
from tests.chaos.seeds import SEEDS

MANY = range(500)
CAMPAIGNS, VENDORS = 3, 2


def drawn(seed: int) -> list[Fault]:
    return draw_faults(seed, CAMPAIGNS, VENDORS)


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_a_seed_stands_for_one_schedule(seed: int) -> None:
    assert drawn(seed) == drawn(seed)
    assert draw_load(seed) == draw_load(seed)


def test_seeds_differ() -> None:
    assert len({tuple(drawn(seed)) for seed in MANY}) > len(MANY) * 0.99


def test_each_fault_can_be_undone_by_itself() -> None:
    for seed in MANY:
        faults = drawn(seed)
        assert 1 <= len(faults) <= MAX_FAULTS
        assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
        assert all(BEGIN_S[0] <= fault.at_s <= BEGIN_S[1] for fault in faults)
        whole = (Kind.CRASH, Kind.SUSPEND, Kind.RESTART)
        parts = [fault.target for fault in faults if fault.kind in whole]
        assert len(parts) == len(set(parts))
        others = [(fault.kind, fault.target) for fault in faults if fault.kind not in whole]
        assert len(others) == len(set(others))
        assert sum(fault.kind is Kind.OUTAGE for fault in faults) <= 1


def test_every_fault_comes() -> None:
    faults = [fault for seed in MANY for fault in drawn(seed)]
    by_kind = {kind: [fault for fault in faults if fault.kind is kind] for kind in Kind}
    assert by_kind.pop(Kind.FAILOVER) == [], "its rounds have nothing else"
    assert all(by_kind.values())
    assert {fault.target for fault in by_kind[Kind.OUTAGE]} == set(OutageShape)
    assert {fault.for_s for fault in by_kind[Kind.OUTAGE]} == set(OUTAGE_S)
    assert {fault.how for fault in by_kind[Kind.TOKEN]} == set(TOLD)
    assert {fault.how for fault in by_kind[Kind.RATE]} == set(RATES)
    assert {(fault.target, fault.jump_s) for fault in by_kind[Kind.CLOCK]} == {
        (clock, jump) for clock, jumps in CLOCKS.items() for jump in jumps
    }
    for kind in (Kind.TOKEN, Kind.RATE, Kind.NUMBER):
        assert {fault.target for fault in by_kind[kind]} == {"0", "1"}
    for kind in (Kind.CRASH, Kind.SUSPEND):
        assert {fault.target for fault in faults if fault.kind is kind} == set(PARTS)
    assert {fault.target for fault in faults if fault.kind is Kind.API} == set(API_FAULTS)
    assert {fault.target for fault in faults if fault.kind is Kind.PAUSE} == {"0", "1", "2"}


def what(fault: Fault) -> tuple[str, ...]:
    """Return what a fault is, without where and when."""
    if fault.kind is Kind.CLOCK:
        return fault.kind, fault.target, "back" if fault.jump_s < 0 else "forth"
    somewhere = (Kind.PAUSE, Kind.TOKEN, Kind.RATE, Kind.NUMBER, Kind.OPT_OUT)
    return fault.kind, "" if fault.kind in somewhere else fault.target, fault.how


def test_the_rounds_of_the_suite_have_every_fault() -> None:
    """But for some shapes of outages and jumps of clocks, which are too many for a few rounds."""
    found: set[tuple[str, ...]] = set()
    for seed in SEEDS:
        load = draw_load(seed)
        found |= {what(f) for f in draw_faults(seed, len(load.campaigns), len(load.rates), 5.0)}
    every = {what(fault) for seed in MANY for fault in drawn(seed)}
    left = {one for one in every - found if one[0] not in (Kind.OUTAGE, Kind.CLOCK)}
    assert left == set()
    assert {one[1] for one in found if one[0] == Kind.CLOCK} == set(CLOCKS)
    assert {one[2] for one in found if one[0] == Kind.CLOCK} == {"back", "forth"}
    assert {one[1] for one in found if one[0] == Kind.OUTAGE} >= {"html_502", "black_hole"}
    assert {marketing for seed in SEEDS for marketing in draw_load(seed).marketing} == {True, False}


def test_long_outages_are_rare_and_can_be_done_without() -> None:
    outages = [one for seed in range(2000) for one in drawn(seed) if one.kind is Kind.OUTAGE]
    longest = [one for one in outages if one.for_s == LONGEST_OUTAGE_S]
    assert 0 < len(longest) < len(outages) / 10
    short = [one for seed in MANY for one in draw_faults(seed, CAMPAIGNS, VENDORS, 5.0)]
    assert {one.for_s for one in short if one.kind is Kind.OUTAGE} == {5.0}
    # Nothing else about the rounds is different.
    assert [one.kind for one in short] == [one.kind for seed in MANY for one in drawn(seed)]


@pytest.mark.parametrize("name", API_FAULTS)
def test_the_cloud_api_knows_its_faults(name: str) -> None:
    assert FaultSpec.model_validate(API_FAULTS[name][0])


def test_a_fault_in_words() -> None:
    faults = [str(fault) for seed in MANY for fault in drawn(seed)]
    assert any(text.endswith("restart worker-1") for text in faults)
    assert any(" crash redis for " in text for text in faults)
    assert any(" api 503 x" in text for text in faults)
    assert any(text.endswith("s announced token 0") for text in faults)
    assert any(" clock worker-1 by -600s for " in text for text in faults)
    assert any(" outage black_hole for 5.00s" in text for text in faults)
