"""One round: a load, its faults, rest, and the verdict."""

import time
from pathlib import Path
from typing import Any

from simulator.chaos.changes import resume_campaigns
from simulator.chaos.evidence import collect
from simulator.chaos.fault import LONGEST_OUTAGE_S, Fault, Kind, draw_faults
from simulator.chaos.history import Logs, write_history
from simulator.chaos.injector import Injector
from simulator.chaos.load import Load, Work, draw_load
from simulator.chaos.outages import wait_until_over
from simulator.chaos.quiescence import wait_for_quiescence
from simulator.chaos.stage import Stage
from simulator.chaos.verdict import Verdict

#: After the last fault something is done within this time, or never.
REST_S = 60.0


def run_round(
    stage: Stage, seed: int, histories: Path, longest_s: float = LONGEST_OUTAGE_S
) -> tuple[dict[str, Any], bool]:
    """Run the round of a seed, with outages of at most ``longest_s``. Return as :func:`play`
    does."""
    load = draw_load(seed)
    faults = draw_faults(seed, len(load.campaigns), len(load.rates), longest_s)
    faults = [f for f in faults if f.kind is not Kind.CLOCK or f.target in stage.clocks.names]
    return play(stage, seed, load, faults, histories)


def play(
    stage: Stage, seed: int, load: Load, faults: list[Fault], histories: Path
) -> tuple[dict[str, Any], bool]:
    """Run a round with this load and these faults. Return its line, and whether it kept the
    promises; if not, what is needed to understand it is in a folder below ``histories``, which the
    line names."""
    started = time.monotonic()
    logs = Logs(stage.installation.folder)
    work = Work(stage, load, seed)
    work.begin()
    loaded_until = time.monotonic() + load.customers_s
    injected = Injector(stage, work).run(faults)
    time.sleep(max(0.0, loaded_until - time.monotonic()))
    ended = stage.ended()
    for name in ended:
        stage.start(name)
    rested = wait_for_quiescence(stage, work, REST_S)
    if not rested and resume_campaigns(stage, work, faults):
        rested = wait_for_quiescence(stage, work, REST_S)
    wait_until_over(stage)
    ended += stage.ended()
    ended += [f"{o.fault} (exit code {o.exit_code})" for o in injected if o.exit_code]
    rate = sum(load.rates)
    verdict = Verdict(collect(stage, work, injected, rate=rate, ended=ended, rested=rested))
    line = {
        "seed": seed,
        "faults": [str(fault) for fault in faults],
        **verdict.line(),
        "seconds": round(time.monotonic() - started, 1),
    }
    if verdict.violations:
        line["history"] = str(write_history(histories / f"seed-{seed}", line, verdict, logs))
    return line, not verdict.violations
