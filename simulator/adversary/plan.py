"""Who attacks in a round, and how. Drawn from the round's seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from simulator.adversary.shapes import GARBAGES, SHAPES

MAX_ATTACKERS = 3
MAX_SHAPES = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """``attackers`` are the names of each one's shapes. ``report``: wrong signatures are taken.
    ``garbage``: what the Cloud API answers to an attacker that asks for it."""

    seed: int
    attackers: tuple[tuple[str, ...], ...]
    report: bool
    garbage: str


def draw_plan(seed: int, only: Sequence[str] = ()) -> Plan:
    """Return a round's plan. Seeds that follow one another have each shape once before one comes
    again, and others at random. With ``only`` there is one attacker, that does these."""
    rng = Random(f"adversary {seed}")
    names = list(SHAPES)
    attackers = [
        tuple(rng.sample(names, rng.randint(1, MAX_SHAPES)))
        for _ in range(rng.randint(0, MAX_ATTACKERS - 1))
    ]
    first: tuple[str, ...] = (names[(seed - 1) % len(names)],)
    plan = Plan(seed, (first, *attackers), rng.random() < 0.3, rng.choice(GARBAGES))
    return Plan(seed, (tuple(only),), plan.report, plan.garbage) if only else plan
