"""Starts our own modules as forks of a process that has loaded what they need.

To start Python and to load a worker's libraries takes more than a second of processor time, and
tests start hundreds of parts. With ``SIMULATOR_WARM=1`` in the environment, :func:`spawn` asks a
process that it starts once (``python -m simulator.warm FD``) for a fork. There the module runs as
``__main__``, with arguments, environment, working directory, standard streams and process group of
its own, as if it had been started anew. Only tests set it: commands and benchmarks start
each part anew.
"""

import atexit
import gc
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import BinaryIO, Protocol

import orjson

SWITCH = "SIMULATOR_WARM"

#: What is loaded: what the parts of an installation, and the commands that tests execute, need.
MODULES = (
    "sidecar.commands.main",
    "sidecar.commands.serve",
    "sidecar.commands.status",
    "sidecar.commands.check",
    "sidecar.commands.cutover",
    "sidecar.commands.rollback",
    "sidecar.commands.rollout",
    "sidecar.commands.adopt_webhooks",
    "sidecar.commands.parity",
    "sidecar.commands.modes",
    "sidecar.http.app",
    "sidecar.console.app",
    "workers.actors",
    "workers.consumer",
    "workers.runtime",
    "simulator.backend.command",
    "simulator.cloud_api.command",
)

#: What decides how Python itself starts: a part that wants others is started anew.
_OF_THE_START = ("PYTHON", "LD_", "MALLOC_")

_MAX_BYTES = 200_000


class Popen(Protocol):
    """What is used of :class:`subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: BinaryIO,
    log: BinaryIO,
    *,
    cwd: str | os.PathLike[str] = ".",
) -> Popen:
    """Start a program in a process group of its own, with nothing to read."""
    if _can_be_forked(command, environment):
        return _starter().start(command[2:], environment, output, log, cwd)
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=log,
        cwd=cwd,
        process_group=0,
    )


def _can_be_forked(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    return (
        bool(os.environ.get(SWITCH))
        and list(command[:2]) == [sys.executable, "-m"]
        and _of_the_start(environment) == _of_the_start(os.environ)
    )


def _of_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(_OF_THE_START)}


class Fork:
    """A process that was forked; ended by a signal, its code is negative, as of any other."""

    def __init__(self, starter: "_Starter", pid: int) -> None:
        self._starter = starter
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._starter.code_of(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            self.returncode = self._starter.code_of(self.pid, 0.01)
            if self.returncode is None and end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return self.returncode

    def terminate(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


class _Starter:
    """The process that is forked, and what it says. May be used by several threads."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "simulator.warm", str(other.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                process_group=0,
            )
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        atexit.register(self._leave)

    def _leave(self) -> None:
        self._socket.close()
        self._popen.wait()

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: BinaryIO,
        log: BinaryIO,
        cwd: str | os.PathLike[str],
    ) -> Fork:
        order = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "cwd": os.path.abspath(cwd),
        }
        with self._lock:
            socket.send_fds(self._socket, [orjson.dumps(order)], [output.fileno(), log.fileno()])
            while (pid := self._hear(None)) is None:
                pass
        return Fork(self, pid)

    def code_of(self, pid: int, wait_s: float) -> int | None:
        """Return with what code it has ended; None if it has not."""
        with self._lock:
            if pid not in self._codes:
                self._hear(wait_s)
                while select.select([self._socket], [], [], 0)[0]:
                    self._hear(0)
            return self._codes.pop(pid, None)

    def _hear(self, wait_s: float | None) -> int | None:
        """Hear one thing. Return the id of a process that was started; None for anything else."""
        if not select.select([self._socket], [], [], wait_s)[0]:
            return None
        said = self._socket.recv(_MAX_BYTES)
        if not said:
            raise RuntimeError(f"simulator.warm has ended with {self._popen.wait()}")
        match orjson.loads(said):
            case {"pid": pid, "code": code}:
                self._codes[pid] = code
            case {"pid": int(pid)}:
                return pid
        return None


@cache
def _starter() -> _Starter:
    return _Starter()


def _serve(control: socket.socket) -> list[str] | None:
    """Fork when asked to, and tell how forks end, until nobody can ask any more. In a fork, return
    the arguments of what it is to run."""
    forks: dict[int, int] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != control.fileno():
                pid = forks.pop(ready)
                poll.unregister(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with suppress(OSError):
                    control.send(orjson.dumps({"pid": pid, "code": code}))
                continue
            asked, fds, _, _ = socket.recv_fds(control, _MAX_BYTES, 2)
            if not asked:
                return None
            pid = os.fork()
            if pid == 0:
                os.setpgid(0, 0)
                control.close()
                for fork in forks:
                    os.close(fork)
                return _become(orjson.loads(asked), fds)
            with suppress(OSError):  # it may have done so itself, or have ended
                os.setpgid(pid, pid)
            for fd in fds:
                os.close(fd)
            fork = os.pidfd_open(pid)
            forks[fork] = pid
            poll.register(fork, select.POLLIN)
            control.send(orjson.dumps({"pid": pid}))


def _become(order: dict[str, object], fds: list[int]) -> list[str]:
    """Be what was asked for, but for running it."""
    for standard, fd in zip((1, 2), fds, strict=True):
        os.dup2(fd, standard)
        os.close(fd)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    environment, arguments = order["environment"], order["arguments"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(str(order["cwd"]))
    sys.path[0] = os.getcwd()
    return arguments


def main() -> None:
    """Load it all, and serve."""
    for module in MODULES:
        import_module(module)
    gc.collect()
    gc.freeze()
    arguments = _serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        gc.unfreeze()
        sys.argv = arguments
        # It is executed anew, as if nobody had imported it.
        sys.modules.pop(arguments[0], None)
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
