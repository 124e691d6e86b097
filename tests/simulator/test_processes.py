"""Parts as processes: what is done to one is done to its children, and it comes back as it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import process_group
from simulator.ports import listens
from simulator.processes import Process, ProcessFailed
from tests.eventually import eventually

#: Listens, and has a child that inherits the socket, as nginx has.
PART = """
import os, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
child = os.fork()
if not child:
    while True:
        sum(range(1000))
print("child", child)
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
time.sleep(600)
"""


def part(folder: Path) -> Process:
    return Process("part", [sys.executable, "-c", PART, "{port}"], folder / "part.log")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Process]:
    with part(tmp_path) as process:
        yield process


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_crash_takes_the_children_along(running: Process) -> None:
    members = process_group.members(running.pid)
    assert len(members) == 2
    running.kill()
    assert not running.running
    assert not process_group.members(running.pid)
    assert not listens(running.port)


def test_it_comes_back_on_its_port(running: Process) -> None:
    port, pid = running.port, running.pid
    assert listens(port)
    for _ in range(2):
        running.kill()
        running.start()
        assert running.port == port
        assert listens(port)
    assert running.pid != pid


async def test_it_stands_still_with_its_children(running: Process) -> None:
    members = process_group.members(running.pid)
    running.suspend()
    await eventually(lambda: {state(pid) for pid in members} == {"T"})
    spent = running.cpu_s()
    running.resume()
    await eventually(lambda: not {state(pid) for pid in members} & {"T"})
    await eventually(lambda: running.cpu_s() > spent)


def test_what_is_suspended_can_be_stopped(running: Process) -> None:
    running.suspend()
    assert running.stop() == -signal.SIGTERM
    assert not process_group.members(running.pid)


def test_one_that_has_died_by_itself_leaves_no_children(running: Process) -> None:
    os.kill(running.pid, signal.SIGKILL)
    assert running.stop() == -signal.SIGKILL
    assert not process_group.members(running.pid)


def test_it_is_not_started_twice(running: Process) -> None:
    with pytest.raises(ValueError, match="runs already"):
        running.start()


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    failing = Process("part", [sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path / "l")
    with pytest.raises(ProcessFailed, match="part did not start:\nno luck"):
        failing.start()
    assert failing.stop() == 1


async def test_nothing_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from tests.simulator.test_processes import part
process = part(Path({str(tmp_path)!r})).start()
gone = part(Path({str(tmp_path)!r})).start()
gone.stop()
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    await eventually(lambda: not process_group.members(int(done.stdout)), 10)


async def test_what_has_ended_may_be_killed_again(tmp_path: Path) -> None:
    """Its group is forgotten once; nobody else's is touched when the program ends."""
    program = f"""
from pathlib import Path
from simulator.guardian import guardian
from tests.simulator.test_processes import part
ended, lives = (part(Path({str(tmp_path)!r})).start() for _ in range(2))
for _ in range(5):
    ended.kill()
guardian().forget(lives.pid)
print(lives.pid, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    group = int(done.stdout)
    try:
        assert process_group.members(group)
    finally:
        os.killpg(group, signal.SIGKILL)
