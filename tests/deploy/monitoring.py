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
#: Names with a colon are recorded, and those of others are not cut out of them.
_SELECTOR = re.compile(r"(?<![\w:])([a-z]+_[a-z0-9_]+)(?![\w:])\s*(\{[^}]*\})?")
_RECORDED = re.compile(r"\b\w+:\w+:\w+\b")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
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
    """Return every expression of the dashboard and the rules, by what it is for."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    found |= {f"record {rule['record']}": rule["expr"] for rule in rules("recording-rules.yml")}
    for panel in panels():
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"].replace(
                "$__rate_interval", "1m"
            )
    return found


def recorded(expression: str) -> set[str]:
    """Return the names in an expression that are those of recording rules."""
    return set(_RECORDED.findall(_STRING.sub("", expression)))


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the names of our metrics in an expression, and the labels that each is chosen by."""
    for name, labels in _SELECTOR.findall(expression):
        if name.startswith("sidecar_"):
            yield name, set(_LABEL.findall(_STRING.sub("", labels)))


def series_of(expression: str) -> Iterator[str]:
    """Yield a series, as text, for each name and value that an expression asks for. What is matched
    by a pattern has the first value that it names."""
    for name, matchers in _SELECTOR.findall(expression):
        if not name.startswith("sidecar_"):
            continue
        labels = {"instance": "a", **({"le": "+Inf"} if name.endswith("_bucket") else {})}
        for label, sign, value in _MATCHER.findall(matchers):
            labels[label] = "x" if sign.startswith("!") else value.partition("|")[0]
        yield name + "{" + ", ".join(f'{one}="{value}"' for one, value in labels.items()) + "}"
