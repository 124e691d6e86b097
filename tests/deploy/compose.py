"""``docker-compose.yml`` as plain values."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.deploy.files import ROOT

Json = dict[str, Any]

_VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")
_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def load() -> Json:
    """Return the file, with its anchors resolved."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def services() -> dict[str, Json]:
    found: dict[str, Json] = load()["services"]
    return found


def variables(value: object) -> Iterator[str]:
    """Yield the names of all variables that stand in a value."""
    if isinstance(value, str):
        yield from _VARIABLE.findall(value)
    elif isinstance(value, dict):
        for part in value.values():
            yield from variables(part)
    elif isinstance(value, list):
        for part in value:
            yield from variables(part)


def filled(environment: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return a service's environment with its variables replaced."""
    return {
        name: _VARIABLE.sub(lambda match: secrets[match[1]], value)
        for name, value in environment.items()
    }


def size(text: str) -> int:
    """Return bytes for a size such as ``512m`` or ``512mb``."""
    number, unit = re.fullmatch(r"(\d+)([kmg])b?", text.lower()).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]


def seconds(text: str) -> int:
    """Return seconds for a duration such as ``45s``."""
    assert re.fullmatch(r"\d+s", text), text
    return int(text[:-1])
