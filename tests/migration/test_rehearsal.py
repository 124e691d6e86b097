"""MIGRATION.md, executed from the first step to the last and back, under load."""

from pathlib import Path

import pytest

from simulator.migration.rehearsal import Rehearsal
from tests.stack.packages import require_stack


@pytest.mark.timeout(600)
def test_there_and_back(tmp_path: Path) -> None:
    require_stack()
    reports = []
    with Rehearsal(tmp_path, vendors=3, messages=4, customers=2, brief=True) as rehearsal:
        for report in rehearsal.walk():
            assert report.held, (report.as_json(), [done.output for done in report.failed])
            reports.append(report)
        assert rehearsal.crons.failures == []
    by_title = {report.step: report for report in reports}
    before = by_title["Before: crons alone"]
    assert before.by_sidecar == 0
    last = reports[-1]
    assert 0 < last.by_sidecar < last.messages, "both have sent"
    # The sidecar sends everything once the crons are off, and nothing after the way back.
    off = next(report for report in reports if report.step.endswith("without crons"))
    earlier = reports[reports.index(off) - 1]
    assert off.by_sidecar - earlier.by_sidecar == off.messages - earlier.messages == 12
    back = by_title["All the way back"]
    assert 0 < last.messages - back.messages < 40, "what was paused, by the crons"
    assert last.by_sidecar == back.by_sidecar
