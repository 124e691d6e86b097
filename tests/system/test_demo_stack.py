"""The main job on the real stack, from one command, as the README has it."""

import json
from pathlib import Path

from tests.stack.packages import require_stack
from tests.system.test_demo import run_demo

#: For 1,000 messages and their 3,000 statuses, without customers, where they take so long.
#: Batches go out by time: one that takes longer needs so many more a second.
MAX_REQUESTS = 50
MAX_STATEMENTS = 500
QUICK_S = 15
MORE_PER_S = 0.1


def test_the_main_job_on_the_real_stack(tmp_path: Path) -> None:
    require_stack()
    file = tmp_path / "demo.json"
    result = run_demo("--stack", "--rate", "500", "--json", str(file))
    assert result.returncode == 0, result.stdout + result.stderr
    figures = json.loads(file.read_text())
    assert figures["messages"] == figures["accepted"] == figures["settled"] == 1000
    assert figures["statuses_received"] == figures["statuses_applied"] == 3000
    assert figures["replies_received"] == figures["replies_applied"] == 100
    assert figures["sent_twice"] == figures["lost"] == 0
    assert figures["backend_errors"] == []
    alone = figures["campaign_alone"]
    slow = 1 + MORE_PER_S * max(0.0, alone["seconds"] - QUICK_S)
    assert 0 < alone["backend_requests"] <= MAX_REQUESTS * slow
    assert 0 < alone["sql_statements"] <= MAX_STATEMENTS * slow
    assert figures["sql_statements"] > alone["sql_statements"]
    last = result.stdout.splitlines()[-1]
    assert "has arrived, on the real stack: nginx 1." in last
    assert ", MariaDB 10." in last
