"""Redis is wiped in the middle of a campaign, with and without the workers' death."""

from pathlib import Path

import pytest

from contracts.backend import QueueStatus
from simulator.chaos.evidence import QueueRow
from simulator.chaos.wipe import Remains, run_wipe
from tests.stack.packages import require_stack

MESSAGES = 1000
#: So slowly that it is not over before it is met, whatever else the machine does.
RATE = 300.0

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize(("seed", "workers_killed"), [(1, False), (3, True)])
def test_redis_wiped(tmp_path: Path, seed: int, workers_killed: bool) -> None:
    require_stack()
    line, kept = run_wipe(tmp_path, seed=seed, messages=MESSAGES, rate=RATE)
    assert kept, line
    assert line["workers_killed"] is workers_killed
    assert 0 < line["wiped_after"] < MESSAGES
    unknown = line["left_in_status"].get("6", 0)
    assert line["sent"] + unknown >= MESSAGES
    # Whether any of these stay unknown is up to their statuses, which settle what was sent.
    assert line["in_progress_when_killed"] or not workers_killed


def row(uid: str, status: int) -> dict[str, QueueRow]:
    return {uid: QueueRow(uid, status, due=True, changed_at=0.0)}


@pytest.mark.parametrize(
    ("remains", "broken"),
    [
        (Remains(["a"], ["a"], {}, ["a"]), None),
        (Remains(["a"], ["a"], row("a", QueueStatus.AWAITING_STATUS), ["a"]), None),
        (Remains(["a"], [], row("a", QueueStatus.ERROR), []), None),
        (Remains(["a"], [], row("a", QueueStatus.EXPIRED), []), None),
        (Remains(["a"], [], row("a", QueueStatus.UNKNOWN), []), None),
        (Remains(["a"], ["a"], row("a", QueueStatus.UNKNOWN), []), None),
        (Remains(["a"], [], {}, []), "lost"),
        (Remains(["a"], ["a", "a"], {}, ["a"]), "sent_twice"),
        (Remains(["a"], ["a"], {}, ["a", "a"]), "sent_twice"),
        (Remains(["a"], [], row("a", QueueStatus.QUEUED), []), "stuck"),
        (Remains(["a"], ["a"], row("a", QueueStatus.PROCESSING), []), "stuck"),
        (Remains(["a"], [], row("a", QueueStatus.AWAITING_STATUS), []), "stuck"),
        (Remains(["a"], ["a"], row("a", QueueStatus.ERROR), []), "stuck"),
    ],
)
def test_what_breaks_a_promise(remains: Remains, broken: str | None) -> None:
    found = remains.violations()
    assert [promise for promise, rows in found.items() if rows] == ([broken] if broken else [])
