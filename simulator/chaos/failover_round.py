"""A round in which Redis's primary goes, with a load that is longer than the failover takes."""

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from simulator.chaos.fault import Fault, Kind
from simulator.chaos.load import Load, draw_load
from simulator.chaos.redis_failover import FailoverStage, How
from simulator.chaos.round import play

#: The primary goes in this time of a round, in seconds. One that is cut off is back so much later.
BEGIN_S = (0.5, 2.0)
CUT_OFF_S = (3.0, 8.0)
#: Campaigns have so many times the messages of other rounds, and customers write for so long.
_LONGER = 2
_CUSTOMERS_S = 8.0


def run_failover(stage: FailoverStage, seed: int, histories: Path) -> tuple[dict[str, Any], bool]:
    """Run the round of a seed. Return as :func:`simulator.chaos.round.play` does."""
    return play(stage, seed, _longer(draw_load(seed)), [draw_failover(seed)], histories)


def draw_failover(seed: int) -> Fault:
    """Return what becomes of the primary in a round."""
    rng = Random(f"failover {seed}")
    at_s, for_s = (round(rng.uniform(*limits), 2) for limits in (BEGIN_S, CUT_OFF_S))
    how = rng.choice(list(How))
    return Fault(at_s, Kind.FAILOVER, how, for_s=0.0 if how is How.KILLED else for_s)


def _longer(load: Load) -> Load:
    campaigns = tuple(replace(one, messages=_LONGER * one.messages) for one in load.campaigns)
    return replace(load, campaigns=campaigns, customers_s=_CUSTOMERS_S)
