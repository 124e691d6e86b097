"""Runs a command in namespaces of its own, so that nothing of it is left behind.

The kernel itself takes back what it mounts and ends what it started, as soon as the command has
ended or this program has, whatever ended it.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    with _ended_by_signals():
        process = subprocess.Popen(
            [*_COMMAND, *command],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        try:
            return process.wait()
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the first process of the namespace, which can be waited for when the others are gone."""
    while process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        if not children:
            process.kill()
        process.wait()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
