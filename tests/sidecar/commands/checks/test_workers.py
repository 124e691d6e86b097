"""The sidecar's own processes."""

from contracts.jobs import Queue
from sidecar.commands.checks.line import Line
from sidecar.commands.checks.workers import judge_processes
from sidecar.ops.processes import Process
from sidecar.version import VERSION
from tests.sidecar.commands.checks.lines import levels, named


def process(
    role: str, *queues: str, heartbeat_age_s: float = 0.0, version: str = VERSION, pid: int = 1
) -> Process:
    return Process(
        f"{role}{pid}", role, "h", pid, 0, heartbeat_age_s, queues=list(queues), version=version
    )


def judge(*processes: Process) -> list[Line]:
    return list(judge_processes(list(processes)))


def test_all_is_well() -> None:
    found = levels(judge(process("serve"), process("worker", *Queue)))
    assert found == dict.fromkeys(
        ["sidecar version", "sidecar serve", *(f"worker for {queue}" for queue in Queue)], "OK"
    )


def test_nothing_runs() -> None:
    found = levels(judge())
    assert found.pop("sidecar version") == "OK"
    assert set(found.values()) == {"FAIL"}


def test_a_queue_that_nobody_works_on() -> None:
    lines = judge(process("serve"), process("worker", "messages", "statuses", "campaigns"))
    assert levels(lines)["worker for effects"] == "FAIL"
    assert "sidecar worker effects" in (named(lines, "worker for effects").do or "")
    assert levels(lines)["worker for campaigns"] == "OK"


def test_one_that_died() -> None:
    queues = [queue.value for queue in Queue]
    lines = judge(
        process("serve"),
        process("worker", *queues),
        process("worker", *queues, heartbeat_age_s=60.0, pid=2),
        process("worker", *queues, heartbeat_age_s=6000.0, pid=3),
    )
    assert levels(lines)["worker h:2"] == "WARN"
    assert "worker h:3" not in levels(lines), "that is history"


def test_a_process_of_yesterdays_version() -> None:
    line = named(judge(process("serve", version="0.0.9")), "sidecar version")
    assert (line.level, "h:1 is 0.0.9" in line.detail) == ("WARN", True)
    assert named(judge(process("serve", version="")), "sidecar version").level == "OK"
