"""What Grafana's dashboard asks, asked of Prometheus: Debian has no Grafana."""

import json
from collections.abc import Iterator
from typing import Any

from simulator.containers.compose import Compose
from simulator.containers.engine import EngineFailed
from simulator.containers.images import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "sidecar.json"


def questions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the title of each panel with an expression of it, Grafana's variables filled in."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


def ask(compose: Compose) -> tuple[int, list[str], list[str]]:
    """Ask Prometheus every question. Return how many there are, the panels that show nothing
    (because nothing of the kind has happened), and what Prometheus does not understand."""
    asked = 0
    empty, failed = [], []
    for title, expression in questions(json.loads(DASHBOARD.read_bytes())):
        asked += 1
        command = ("promtool", "query", "instant", "http://127.0.0.1:9090", expression)
        try:
            answer = compose.execute("prometheus", *command)
        except EngineFailed as error:
            failed.append(f"{title}: {error}")
            continue
        if not answer.strip():
            empty.append(title)
    return asked, empty, failed
