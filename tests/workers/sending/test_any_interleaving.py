"""Any interleaving of send results, statuses, duplicates, crashes and lost wake-ups ends in the
right state.

``STATE_MACHINE_EXAMPLES=500`` in the environment makes it that many, others each time, and has what
fails made smaller, which takes minutes.
"""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import MakeSettings
from tests.contract.embedded import EmbeddedBackend
from tests.workers.state_machine import Machine, World
from workers.inbox import processor

#: A few in the suite, always the same ones.
FEW = 25
EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", FEW))

PROFILE = settings(
    deadline=None,
    max_examples=EXAMPLES,
    stateful_step_count=8,
    derandomize=EXAMPLES == FEW,
    phases=[Phase.generate] if EXAMPLES == FEW else [Phase.generate, Phase.shrink],
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(120 + 5 * EXAMPLES)
@pytest.mark.usefixtures("short_pauses")
def test_whatever_happens_everything_ends_where_it_belongs(
    embedded: EmbeddedBackend,
    redis_url: str,
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # How often PHP refuses a message before it is cured is up to the machine, and one that is set
    # aside loses its place.
    for most in ("SET_ASIDE_REFUSED", "SET_ASIDE_FAILED"):
        monkeypatch.setattr(processor, most, 1000)
    values = {
        "result_wait_ms": 0,
        "claim_s": 0.002,
        "lease_ttl_ms": 60_000,
        "status_wait_ms": 0,
        "update_retry_first_ms": 10,
        "update_max_attempts": 100,
    }
    with asyncio.Runner() as runner:
        world = World(runner, embedded, redis_url, make_settings(**values))
        runner.run(world.open())
        try:
            run_state_machine_as_test(
                type("MachineOfTheTest", (Machine,), {"world": world}), settings=PROFILE
            )
        finally:
            runner.run(world.close())
