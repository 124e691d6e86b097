import pytest

from simulator.chaos.fault import (
    API_FAULTS,
    BEGIN_S,
    MAX_FAULTS,
    PARTS,
    Kind,
    draw_faults,
)
from simulator.chaos.load import draw_load
from simulator.cloud_api.fault import FaultSpec

MANY = range(500)
CAMPAIGNS = 3


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_a_seed_stands_for_one_schedule(seed: int) -> None:
    assert draw_faults(seed, CAMPAIGNS) == draw_faults(seed, CAMPAIGNS)
    assert draw_load(seed) == draw_load(seed)


def test_seeds_differ() -> None:
    assert len({tuple(draw_faults(seed, CAMPAIGNS)) for seed in MANY}) > len(MANY) * 0.99


def test_each_fault_can_be_undone_by_itself() -> None:
    for seed in MANY:
        faults = draw_faults(seed, CAMPAIGNS)
        assert 1 <= len(faults) <= MAX_FAULTS
        assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
        assert all(BEGIN_S[0] <= fault.at_s <= BEGIN_S[1] for fault in faults)
        parts = [fault.target for fault in faults if fault.target in PARTS]
        assert len(parts) == len(set(parts))
        others = [(fault.kind, fault.target) for fault in faults if fault.target not in PARTS]
        assert len(others) == len(set(others))


def test_every_fault_comes() -> None:
    faults = [fault for seed in MANY for fault in draw_faults(seed, CAMPAIGNS)]
    assert {fault.kind for fault in faults} == set(Kind)
    for kind in (Kind.CRASH, Kind.SUSPEND):
        assert {fault.target for fault in faults if fault.kind is kind} == set(PARTS)
    assert {fault.target for fault in faults if fault.kind is Kind.API} == set(API_FAULTS)
    assert {fault.target for fault in faults if fault.kind is Kind.PAUSE} == {"0", "1", "2"}


@pytest.mark.parametrize("name", API_FAULTS)
def test_the_cloud_api_knows_its_faults(name: str) -> None:
    assert FaultSpec.model_validate(API_FAULTS[name][0])


def test_a_fault_in_words() -> None:
    faults = [str(fault) for seed in MANY for fault in draw_faults(seed, CAMPAIGNS)]
    assert any(text.endswith("restart worker-1") for text in faults)
    assert any(" crash redis for " in text for text in faults)
    assert any(" api 503 x" in text for text in faults)
