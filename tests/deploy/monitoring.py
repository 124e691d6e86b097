"""What Prometheus and Grafana are given: expressions, and the names in them."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import yaml

from tests.deploy.files import DEPLOY

Json = dict[str, Any]

PROMETHEUS = DEPLOY / "prometheus"
GRAFANA = DEPLOY / "grafana"

_STRING = re.compile(r'"[^"]*"')
_SELECTOR = re.compile(r"\b([a-z]+_[a-z0-9_]+)\b\s*(\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def rules(name: str = "alerts.yml") -> list[Json]:
    """Return the rules of a file, of all its groups."""
    groups = yaml.safe_load((PROMETHEUS / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> Json:
    found: Json = orjson.loads((GRAFANA / "sidecar.json").read_bytes())
    return found


def panels() -> list[Json]:
    """Return the dashboard's panels, without the titles of its rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Return every expression of the dashboard and the alert rules, by what it is for."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"].replace(
                "$__rate_interval", "1m"
            )
    return found


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the names of our metrics in an expression, and the labels that each is chosen by."""
    for name, labels in _SELECTOR.findall(expression):
        if name.startswith("sidecar_"):
            yield name, set(_LABEL.findall(_STRING.sub("", labels)))
