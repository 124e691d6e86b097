"""A fork is what a process that was started anew would be."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from simulator import process_group, warm
from simulator.processes import python
from tests.eventually import eventually

#: Says what it is, and waits for a signal when it is told to.
MODULE = """
import json, os, random, signal, sys, time
print(json.dumps({
    "name": __name__, "arguments": sys.argv[1:], "cwd": os.getcwd(), "path": sys.path[0],
    "environment": dict(os.environ), "group": os.getpgid(0), "pid": os.getpid(),
    "zone": time.strftime("%z"), "input": sys.stdin.read(), "random": random.random(),
    "fds": sorted(os.listdir("/proc/self/fd")), "ignored": signal.getsignal(signal.SIGTERM).name,
    "threads": len(os.listdir("/proc/self/task")),
}), flush=True)
print("what went wrong", file=sys.stderr)
if sys.argv[1] == "stay":
    time.sleep(600)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.SWITCH, "1")
    (tmp_path / "said.py").write_text(MODULE)


@contextmanager
def spawned(
    folder: Path, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[warm.Popen]:
    with (folder / "out").open("wb") as out, (folder / "log").open("wb") as log:
        part = warm.spawn(command, environment, out, log, cwd=folder)
    try:
        yield part
    finally:
        if part.poll() is None:
            os.killpg(part.pid, signal.SIGKILL)
            part.wait(10)


def said(folder: Path) -> dict[str, object]:
    found = orjson.loads((folder / "out").read_bytes())
    assert isinstance(found, dict)
    return found


def run(folder: Path, code: str = "3", **environment: str) -> dict[str, object]:
    given = {**os.environ, **environment}
    with spawned(folder, python("said", code, "a b"), given) as part:
        assert part.wait(30) == int(code)
        assert part.poll() == int(code)
        assert said(folder)["pid"] == part.pid
    return said(folder)


def test_it_is_what_a_process_of_its_own_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = {"TZ": "Asia/Kolkata", "SIDECAR_ANY": "ü"}
    forked, forked_again = run(tmp_path, **zone), run(tmp_path, **zone)
    assert (tmp_path / "log").read_text() == "what went wrong\n"
    monkeypatch.delenv(warm.SWITCH)
    anew = run(tmp_path, **zone)
    assert forked["zone"] == "+0530"
    for one in (forked, forked_again, anew):
        assert one.pop("group") == one.pop("pid"), "it leads a group of its own"
    assert len({one.pop("random") for one in (forked, forked_again, anew)}) == 3
    switch = {warm.SWITCH: "1"}
    assert forked == {**anew, "environment": {**anew["environment"], **switch}}  # type: ignore[dict-item]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_and_is_told(tmp_path: Path, number: signal.Signals) -> None:
    with spawned(tmp_path, python("said", "stay"), os.environ) as part:
        while not (tmp_path / "out").read_bytes():
            with pytest.raises(subprocess.TimeoutExpired):
                part.wait(0.02)
        assert part.poll() is None
        if number == signal.SIGTERM:
            part.terminate()
        else:
            os.killpg(part.pid, number)
        assert part.wait(10) == -number
        part.terminate()  # whoever has ended is not asked again


async def test_it_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    """The process that is forked, that is; its forks are the guardian's."""
    code = f"""
import os, sys
from simulator import warm
from simulator.processes import python
with open({str(tmp_path / "out")!r}, "wb") as out:
    part = warm.spawn(python("said", "0"), os.environ, out, out, cwd={str(tmp_path)!r})
part.wait()
print(warm._starter()._popen.pid, flush=True)
os._exit(1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    await eventually(lambda: not process_group.members(int(done.stdout)), 10)


def test_what_starts_in_another_way_is_started_anew(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with spawned(tmp_path, python("said", "0"), environment) as part:
        assert isinstance(part, subprocess.Popen)
        assert part.wait(30) == 0
