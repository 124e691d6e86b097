"""The stack of the compose file, running: its containers, their health, and what is in force."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.containers import limits
from simulator.containers.compose import Compose, Service, container, start_order
from simulator.containers.engine import Engine, EngineFailed

#: How long a container may take until its health check passes, on a busy machine.
HEALTHY_S = 240.0
_POLL_S = 0.5


class Stack:
    def __init__(self, engine: Engine, compose: Compose, services: Mapping[str, Service]) -> None:
        self.engine = engine
        self.compose = compose
        self.services = services
        self._started: dict[str, float] = {}
        #: The server's socket, wherever its container's root is now.
        self.socket = engine.folder / "mariadb.sock"

    def start(self) -> None:
        """Start the services in their order, each when those that it waits for are healthy."""
        for name in start_order(self.services):
            for other in self.services[name].get("depends_on", ()):
                self.wait_until_healthy(other)
            self.compose.up(name)
            self._started[name] = time.monotonic()

    def become_healthy(self) -> Iterator[tuple[str, float]]:
        """Yield each service with the seconds from its start until it was healthy."""
        for name, began in self._started.items():
            self.wait_until_healthy(name)
            yield name, time.monotonic() - began

    def pid(self, service: str) -> int:
        """Return the first process of a service's container; 0 if it does not run."""
        state = self.engine.inspect(container(service))["State"]
        return int(state["Pid"]) if state["Running"] else 0

    def wait_until_healthy(self, service: str) -> None:
        """Run a service's health check until it passes."""
        end = time.monotonic() + HEALTHY_S
        while not self.is_healthy(service):
            if time.monotonic() > end:
                raise EngineFailed(
                    f"{service} is not healthy in {HEALTHY_S:.0f} s:\n{self.last_words(service)}"
                )
            time.sleep(_POLL_S)
        if service == "mariadb":
            self._link_socket()

    def is_healthy(self, service: str) -> bool:
        """Run a service's health check once."""
        try:
            self.engine.podman("healthcheck", "run", container(service))
        except EngineFailed:
            return False
        return True

    def _link_socket(self) -> None:
        made = self.socket.with_suffix(".new")
        made.unlink(missing_ok=True)
        made.symlink_to(f"/proc/{self.pid('mariadb')}/root/run/mysqld/mysqld.sock")
        made.replace(self.socket)

    def kill(self, service: str) -> float:
        """Kill a container as a crash does, and wait until the engine has started it again and it
        is healthy. Return the seconds that this took."""
        began = time.monotonic()
        before = self.pid(service)
        os.kill(before, signal.SIGKILL)
        while self.pid(service) in (0, before):
            if time.monotonic() - began > HEALTHY_S:
                raise EngineFailed(f"{service} was killed and is not started again")
            time.sleep(_POLL_S)
        self.wait_until_healthy(service)
        return time.monotonic() - began

    def upgrade(self, service: str, image: str) -> float:
        """Put a container of another image in a service's place, and return the seconds until it
        was healthy."""
        began = time.monotonic()
        self.compose.recreate(service)
        self.wait_until_healthy(service)
        runs = self.engine.inspect(container(service))["Image"]
        if runs not in image:
            raise EngineFailed(f"{service} runs {runs}, and not the new image {image}")
        return time.monotonic() - began

    def differences(self, service: str) -> list[str]:
        """Return what of the compose file is not in force, in words."""
        wanted, pid = self.services[service], self.pid(service)
        found = [_differ("limits", limits.wanted_limits(wanted), limits.found_limits(pid))]
        confined = limits.wanted_confinement(wanted)
        processes = limits.found_confinements(pid)
        found += [_differ(name, confined, one) for name, one in processes.items()]
        check = self.engine.inspect(container(service))["Config"].get("Healthcheck", {})
        asked = limits.wanted_check(wanted)
        found.append(_differ("health check", asked, {name: check.get(name, 0) for name in asked}))
        return [f"{service}: {one}" for one in found if one]

    def last_words(self, service: str) -> str:
        """Return the end of what a service has written."""
        log = self.engine.inspect(container(service))["HostConfig"]["LogConfig"]["Path"]
        lines = Path(log).read_text(errors="replace").splitlines() if log else []
        return "\n".join(lines[-20:])


def _differ(what: str, wanted: Any, found: Any) -> str:
    return "" if wanted == found else f"{what}: {found}, and not {wanted}"
