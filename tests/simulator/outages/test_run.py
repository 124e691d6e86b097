"""Campaigns that meet an outage, in short: each shape on a number of its own, at the same time. The
whole ones: make outages."""

from itertools import count
from pathlib import Path

import pytest

from simulator.embedded import EmbeddedInstallation
from simulator.outages.plan import Plan
from simulator.outages.run import OutageRun, RunStuck, wait_until
from simulator.outages.stage import Stage
from simulator.outages.watch import Watch, look

#: One that leaves rows unknown, one that refuses them, and one that says nothing.
SHAPES = ("html_502", "error_131000", "black_hole")
#: Faults in what is counted. How soon things happen depends on what else this machine does.
COUNTED = ("failed", "twice", "left", "lost", "unknown", "nothing")

pytestmark = pytest.mark.timeout(240)


def test_what_moves_is_waited_for_and_what_does_not_is_stuck() -> None:
    looks = count()
    wait_until(lambda: next(looks) == 2, lambda: 1, 30, "counting")
    with pytest.raises(RunStuck, match="counting did not go on"):
        wait_until(lambda: False, lambda: 1, 0.01, "counting")


def test_outages_cost_a_few_rows_at_most(tmp_path: Path) -> None:
    installation = EmbeddedInstallation(tmp_path)
    installation.configure(send_timeout_s=2, reconcile_interval_s=0.2, status_wait_ms=100)
    not_watching = Watch(installation)
    with Stage(installation, len(SHAPES), rate=80.0) as stage:
        runs = [
            OutageRun(stage, vendor, Plan(shape, 3.0, messages=200, rate=80.0))
            for vendor, shape in zip(stage.vendors, SHAPES, strict=True)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.begin_outage()
        for run in runs:
            run.end_outage()
        for run in runs:
            run.finish()
        for figures in [run.figures(not_watching) for run in runs]:
            faults = [one for one in figures.faults() if any(word in one for word in COUNTED)]
            assert faults == [], figures
            assert figures.accepted >= 200 - figures.unknown
        numbers = {one["number"]: one for one in look(installation).answer["numbers"]}
        for vendor in stage.vendors:
            assert numbers[vendor.phone_number_ids[0]]["last_outage"], "nobody noticed it"
