"""The run: builds, starts, looks, kills, upgrades and counts."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from simulator.containers import dashboard
from simulator.containers.compose import FILE, OVERRIDE, Compose, Service, read_services
from simulator.containers.engine import Engine
from simulator.containers.images import Images, builds
from simulator.containers.load import Load, differences, make_variables, ports
from simulator.containers.stack import Stack

#: Of the sidecar's image, all its files unpacked, Debian's and Python's too.
MAX_SIDECAR_MB = 150.0
#: Prometheus has asked the sidecar a second time by then, and can tell rates.
_SCRAPED_S = 60.0

Say = Callable[[str], None]


class Run:
    """``program``: podman-compose. ``say`` is given what is found, line by line; :attr:`wrong`
    collects what should not be so."""

    def __init__(self, engine: Engine, program: str, say: Say) -> None:
        self._engine = engine
        self._say = say
        self._variables = make_variables(ports())
        self._services: Mapping[str, Service] = read_services(FILE)
        self._images = Images(engine)
        compose = Compose(engine, program, self._variables)
        self._stack = Stack(engine, compose, self._services)
        self.wrong: list[str] = []

    def build(self) -> None:
        """Build all images, and print their sizes."""
        stand_ins = {
            name: self._services[name] | one
            for name, one in read_services(OVERRIDE).items()
            if "build" in one
        }
        found = builds({**self._services, **stand_ins})
        self._images.make_bases(found.values())
        for name, dockerfile in found.items():
            took = self._images.build(name, dockerfile)
            megabytes = self._images.megabytes(name)
            self._say(f"{name:<26} {megabytes:6.1f} MB   built in {took:.0f} s")
            if "sidecar" in name and megabytes >= MAX_SIDECAR_MB:
                self.wrong.append(f"{name} has {megabytes:.1f} MB, {MAX_SIDECAR_MB:.0f} or more")

    def start(self) -> None:
        """Start the stack."""
        self._stack.start()

    def _wait(self) -> None:
        for name, took in self._stack.become_healthy():
            self._say(f"{name:<18} healthy after {took:5.1f} s")

    def _look(self) -> None:
        for name in self._services:
            self.wrong += self._stack.differences(name)
        count = len(self._services)
        self._say(f"{count} containers: limits, users, capabilities, roots and health checks read")

    def count(self, messages: int, rate: float) -> None:
        """Look whether what the compose file says is in force, put load on the stack, kill and
        upgrade its containers meanwhile, and count."""
        with Load(self._stack, self._variables, rate) as load:
            # A worker is not healthy without a Cloud API.
            self._wait()
            self._look()
            for name in self._services:
                self._keep_sending(load, messages)
                self._say(f"killed {name:<18} healthy again after {self._stack.kill(name):5.1f} s")
            self._upgrade(load, messages)
            load.wait_for_the_end()
            self._tell(load)
        self._look()
        self._ask_dashboard()

    def _keep_sending(self, load: Load, messages: int) -> None:
        if not load.is_sending():
            load.start_campaign(messages)

    def _upgrade(self, load: Load, messages: int) -> None:
        ours = [name for name, one in self._services.items() if "sidecar" in one["image"]]
        image = self._services[ours[0]]["image"]
        self._images.renew(image)
        made = self._images.id(image)
        for name in ours:
            self._keep_sending(load, messages)
            took = self._stack.upgrade(name, made)
            self._say(f"upgraded {name:<16} healthy again after {took:5.1f} s")

    def _tell(self, load: Load) -> None:
        found, unknown = load.compare(), load.unknown()
        webhooks = load.webhooks()
        table: dict[str, Any] = {
            "messages": f"{found.messages}, accepted by the Cloud API {found.accepted},"
            f" in PHP's log {found.settled}, of unknown outcome {unknown}",
            "statuses": f"acknowledged {found.statuses_received}, in PHP {found.statuses_applied}",
            "customers": f"acknowledged {found.replies_received}, in PHP {found.replies_applied}",
            "webhooks": ", ".join(f"{k} {v}" for k, v in webhooks.items() if isinstance(v, int)),
        }
        for name, line in table.items():
            self._say(f"{name:<10} {line}")
        self._say(f"sent twice {found.sent_twice}, lost {found.lost}")
        self.wrong += differences(found, unknown)

    def _ask_dashboard(self) -> None:
        time.sleep(_SCRAPED_S)
        asked, empty, failed = dashboard.ask(self._stack.compose)
        answered = asked - len(empty) - len(failed)
        self._say(f"dashboard: {asked} questions to Prometheus, {answered} with an answer")
        self.wrong += failed
        if len(empty) * 2 > asked:
            self.wrong.append(f"Prometheus knows nothing of {', '.join(empty)}")
