"""Nothing is left of a command: no mount, no process, whatever ended it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.matrix import namespace

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting is for root alone")

RUN = "import sys; from tests.matrix.namespace import run; sys.exit(run(sys.argv[1:]))"
#: Mounts, and has a child that takes no signal and a grandchild that nobody waits for.
SCRIPT = """\
mount -t tmpfs mine "$0" && echo inside >"$0/file"
(trap "" INT TERM HUP; while :; do sleep 3600 & wait; done) &
(sleep 3600 &)
cat "$0/file"
wait
"""


def processes_with(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"MATRIX_TEST={word}".encode() in words:
            found.append(folder.name)
    return found


@as_root
@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
async def test_nothing_is_left(tmp_path: Path, end: str) -> None:
    number, word = signal.Signals[end], str(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "sh", "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "MATRIX_TEST": word},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"inside\n"
        assert len(processes_with(word)) > 5
        process.send_signal(number)
        code = process.wait(20)
    if number == signal.SIGKILL:
        await eventually(lambda: processes_with(word) == [])
    else:
        assert code == 128 + number
        assert processes_with(word) == []
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@as_root
def test_the_exit_code_and_the_environment(tmp_path: Path) -> None:
    assert namespace.run(["sh", "-c", "exit $CODE"], {"CODE": "42"}) == 42
    assert namespace.run(["sh", "-c", f"echo $$ >{tmp_path / 'pid'}"]) == 0
    assert int((tmp_path / "pid").read_text()) < 10


@as_root
def test_signals_are_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    namespace.run(["true"])
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


@as_root
def test_where_it_can_be_done() -> None:
    assert namespace.refusal() is None


def test_why_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert namespace.refusal() == "it has to mount, which root alone may"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(namespace, "_COMMAND", ("sh", "-c", "echo no right >&2; exit 1"))
    assert namespace.refusal() == "namespaces cannot be made here: no right"
    monkeypatch.setenv("PATH", "")
    assert namespace.refusal() == "there is no setpriv: apt-get install util-linux"
