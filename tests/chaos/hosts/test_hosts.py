"""Two hosts, one of which dies or is cut off in the middle of a campaign: the short form of
``make chaos-hosts``."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.chaos.hosts.hosts import require_hosts
from tests.stack.packages import require_stack

pytestmark = pytest.mark.timeout(300)

#: In this order on one stage. The rate is measured where a machine does nothing else: here the
#: Cloud API sees to it that it is not exceeded.
TROUBLES = ("killed", "no-redis")
#: Of which a machine that does nothing else needs a tenth.
TIMEOUT_S = 280.0
OPTIONS = ("--short", "--messages", "240", "--seconds", "2.5", "--least-share", "0")


def test_a_host_in_trouble(tmp_path: Path) -> None:
    require_stack()
    require_hosts()
    chosen = [word for name in TROUBLES for word in ("--trouble", name)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "simulator", "chaos-hosts", *OPTIONS, *chosen),
            *("--histories", str(tmp_path / "histories")),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    lines = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines, done.stderr)
    for line, trouble in zip(lines, TROUBLES, strict=True):
        assert line["trouble"] == trouble
        assert line["lost"] == line["sent_twice"] == line["stuck"] == 0
        assert line["acknowledged"] == line["applied"] + line["dead_lettered"] > 0
        assert line["webhooks_refused"] == line["php_calls_failed"] == line["throttled"] == 0
    killed, without_redis = lines
    # What is left of its lease may be less than one of its renewals.
    assert killed["gap_s"] > 0.25, "nobody had to take over"
    assert killed.get("to_another_host", 0) + killed.get("to_php", 0) > 0, (
        "no webhook met the dead host"
    )
    assert without_redis["to_php"] > 0, "no webhook met the host that reaches no Redis"
