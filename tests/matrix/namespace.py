"""Runs a command in namespaces of its own, so that nothing of it is left behind.

The kernel itself takes back what it mounts and ends what it started, as soon as the command has
ended or this program has, whatever ended it.
"""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_COMMAND = (
    # Whatever ends this program ends what it has started.
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    # The first process takes leave of orphans, as an init has to.
    *("sh", "-c", '"$@"; exit $?', "sh"),
)


def refusal() -> str | None:
    """Return why nothing can be mounted here, in one line; None if it can."""
    if os.geteuid() != 0:
        return "it has to mount, which root alone may"
    for name in ("setpriv", "unshare"):
        if shutil.which(name) is None:
            return f"there is no {name}: apt-get install util-linux"
    tried = subprocess.run([*_COMMAND, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"namespaces cannot be made here: {tried.stderr.strip() or tried.returncode}"
    return None


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit code. SIGINT, SIGTERM and SIGHUP end it, and then this
    program: all of it is gone before SystemExit is raised."""
    process: subprocess.Popen[bytes] | None = None
    received = 0

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received = 128 + number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        # While Popen starts it, nobody knows its id: what it raised would leave it behind.
        if process is not None:
            raise SystemExit(received)

    with _handled_by(end):
        try:
            process = subprocess.Popen(
                [*_COMMAND, *command],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
            if received:
                raise SystemExit(received)
            return process.wait()
        finally:
            if process is not None:
                _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the namespace's first process, with which all others end, and wait until it has."""
    if process.poll() is not None:
        return
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    with suppress(ProcessLookupError):
        first = [os.pidfd_open(int(child)) for child in children]
        # The group, for it may have no child yet.
        os.killpg(process.pid, signal.SIGKILL)
        for each in first:
            select.select([each], [], [])
            os.close(each)
    process.wait()


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, its in before.items():
            signal.signal(number, its)
