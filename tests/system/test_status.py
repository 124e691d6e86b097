"""``sidecar status`` beside an installation that works, whose processes are killed."""

import json
import os
import subprocess
from typing import Any

from simulator.control import read
from simulator.demo import Demo
from simulator.processes import python
from tests.system.running import MAX_UNKNOWN, assert_complete, wait_for, wait_for_accepted

WORKERS = ("worker-campaigns-effects", "worker-statuses", "worker-messages")


def look(demo: Demo) -> tuple[dict[str, Any], int]:
    """Return what it says, and its exit code."""
    done = subprocess.run(
        python("sidecar.commands.main", "status", "--json"),
        env={**os.environ, **demo.installation.environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout), done.returncode


def assert_balanced(demo: Demo) -> dict[str, Any]:
    """the accounting balances. Returns the vendor's."""
    found, code = look(demo)
    assert code == int(bool(found["problems"]))
    assert found["accounting"]["balanced"] is True, found["problems"]
    accounting: dict[str, Any] = found["accounting"]["vendors"].get(demo.vendor.uid, {})
    for check in ("webhooks", "updates", "sends"):
        assert accounting[check]["difference"] == 0, accounting
    return accounting


def test_the_accounting_balances_whatever_is_killed(demo: Demo) -> None:
    """And nothing is lost or doubled."""
    for at in (60, 250):
        wait_for_accepted(demo, at)
        assert_balanced(demo)
        for name in (*WORKERS, "sidecar"):
            demo.installation.crash(name)
        assert_balanced(demo)
        for name in ("sidecar", *WORKERS):
            demo.installation.restart(name)
        assert_balanced(demo)
    demo.installation.crash("redis")
    demo.installation.restart("redis")
    assert_balanced(demo)
    assert_complete(demo, unknown=2 * MAX_UNKNOWN)
    accounting = assert_balanced(demo)
    webhooks, updates, sends = accounting["webhooks"], accounting["updates"], accounting["sends"]
    assert webhooks["waiting"] == updates["waiting"] == updates["dead"] == sends["in_flight"] == 0
    report = read(demo.cloud_api, "report")
    assert sends["accepted"] <= report["accepted"] <= sends["accepted"] + sends["unknown"]
    assert webhooks["done"] >= report["webhooks"]["acknowledged"]


def test_what_a_person_is_told(demo: Demo) -> None:
    """While all runs, after a worker was killed, and with everything stopped."""
    wait_for_accepted(demo, 50)
    found, code = look(demo)
    assert (found["problems"], code) == ([], 0)
    assert {p["role"] for p in found["processes"]} == {"serve", "worker"}
    pid = demo.installation.processes["worker-campaigns-effects"].pid
    # On a busy machine it may be over by now.
    for campaign in found["campaigns"]:
        assert (campaign["uid"], campaign["state"]) == (demo.campaign.uid, "running")
        holder = campaign["holder"]
        assert holder is None or holder.endswith(f":{pid}"), "it may not have said so yet"
    for number in found["numbers"]:
        assert number["configured_rate"] > 0
    demo.installation.crash("worker-campaigns-effects")

    def told() -> bool:
        problems = " ".join(problem["what"] for problem in look(demo)[0]["problems"])
        return (
            "No worker is running for campaigns" in problems
            and f":{pid} has been silent" in problems
        )

    wait_for(told, "it to be missed")
    demo.installation.restart("worker-campaigns-effects")
    assert_complete(demo, unknown=30)
    for name in (*WORKERS, "sidecar"):
        assert demo.installation.processes[name].stop() == 0
    found, code = look(demo)
    assert code == 1
    first, second, third = found["problems"]
    assert first["code"] == "serve-not-running"
    assert second["what"].startswith("No worker is running for messages, statuses, campaigns")
    assert f":{pid} has been silent" in third["what"], "who said that they end are not missed"
