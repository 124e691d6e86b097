"""The Lua scripts: what two of them share stands in an include."""

import re
from collections import defaultdict
from pathlib import Path

import sidecar.redis.client

SCRIPTS = sorted((Path(sidecar.redis.client.__file__).parent / "lua").rglob("*.lua"))
#: So many lines of the same shape, names, strings and numbers aside, are shared code.
RUN = 6

_KEPT = "and break do else elseif end false for function if in local nil not or return then true"
_WORDS = re.compile(r"\b(?!(?:" + _KEPT.replace(" ", "|") + r"|redis|call|tonumber)\b)[A-Za-z_]\w*")


def shape(line: str) -> str:
    line = re.sub(r"\s*--.*", "", line.strip())
    return re.sub(r"\b\d+\b", "0", _WORDS.sub("x", re.sub(r'"[^"]*"', '""', line)))


def repeated(texts: dict[str, str]) -> list[list[str]]:
    """Return where runs of lines stand more than once."""
    places = defaultdict(list)
    for name, text in texts.items():
        lines = [one for one in map(shape, text.splitlines()) if one]
        for start in range(len(lines) - RUN + 1):
            places[tuple(lines[start : start + RUN])].append(name)
    return [names for names in places.values() if len(names) > 1]


def test_nothing_stands_twice() -> None:
    assert repeated({path.name: path.read_text() for path in SCRIPTS}) == []


def test_what_stands_twice_is_found() -> None:
    [text] = [path.read_text() for path in SCRIPTS if path.name == "settled.lua"]
    other = text.replace("dropped", "gone").replace('"HGET"', '"HMGET"').replace("3", "5")
    assert repeated({"one": text, "other": other})
    assert repeated({"one": text}) == []
