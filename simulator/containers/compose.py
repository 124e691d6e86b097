"""``docker-compose.yml`` with the changes of ``compose.override.yml``."""

from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from string import Template
from typing import Any

import yaml

from simulator.containers.engine import Engine
from simulator.containers.images import ROOT

FILE = ROOT / "docker-compose.yml"
OVERRIDE = Path(__file__).with_name("compose.override.yml")
PROJECT = "compose-test"
#: Debian has no Grafana: what its dashboard asks is asked of Prometheus.
LEFT_OUT = frozenset({"grafana"})

Service = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Knows the tag for a value that replaces the one in the file before."""


_Loader.add_constructor(
    "!override",
    lambda loader, node: loader.construct_sequence(node),  # type: ignore[arg-type]
)


def read_services(file: Path) -> dict[str, Service]:
    """Return the services of a file, without those that are left out."""
    whole = yaml.load(file.read_text(), _Loader)
    return {name: one for name, one in whole["services"].items() if name not in LEFT_OUT}


def start_order(services: Mapping[str, Service]) -> list[str]:
    """Return the services, each after those that it waits for; nginx, which opens the door, as
    late as may be."""
    graph = {name: set(one.get("depends_on", ())) for name, one in services.items()}
    order = list(TopologicalSorter(graph).static_order())
    return sorted(order, key=lambda name: (name == "nginx", order.index(name)))


class Compose:
    """Runs podman-compose with an engine. ``variables`` are what both files ask for."""

    def __init__(self, engine: Engine, program: str, variables: Mapping[str, str]) -> None:
        self._engine = engine
        file = engine.folder / "compose.env"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        # podman-compose fills in nothing below a tag.
        changes = engine.folder / OVERRIDE.name
        changes.write_text(Template(OVERRIDE.read_text()).substitute(variables))
        self._command = [
            *(program, "--project-name", PROJECT, "--in-pod", "false"),
            *("--podman-path", str(engine.program), "--env-file", str(file)),
            *("--file", str(FILE), "--file", str(changes)),
        ]
        self._options = ("--detach", "--no-build", "--no-deps")

    def up(self, service: str) -> None:
        """Make a service's container, and start it."""
        self._engine.run([*self._command, "up", *self._options, service])

    def recreate(self, service: str) -> None:
        """Put a container of the image that now has the name in the place of the running one,
        which is given its grace period to end."""
        self._engine.run([*self._command, "up", *self._options, "--force-recreate", service])

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container, and return what it writes."""
        return self._engine.podman("exec", container(service), *command)


def container(service: str) -> str:
    """Return the name of a service's container."""
    return f"{PROJECT}_{service}_1"
