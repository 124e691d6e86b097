"""The keys of Redis: each of them is in the table, and none is another one's."""

import inspect
import re

from contracts.jobs import Lane
from sidecar.redis import keys

#: What keys.py names beside keys.
OTHERS = {"STORED_BYTES", "deferred_count", "deferred_bytes"}


def made() -> dict[str, str]:
    """Return a key of each kind, by the name of what makes it."""
    found: dict[str, str] = {}
    for name, value in vars(keys).items():
        if name in OTHERS:
            continue
        if name.isupper():
            found[name] = value
        elif inspect.isfunction(value):
            arguments = [
                Lane.MESSAGES if parameter == "lane" else f"{{{parameter}}}"
                for parameter in inspect.signature(value).parameters
            ]
            found[name] = value(*arguments)
    return found


def test_every_key_is_in_the_table() -> None:
    assert keys.__doc__ is not None
    rows = re.findall(r"(?m)^\| ([a-z:{} ]+?) \| (\w[\w ]*) \|", keys.__doc__)
    documented = {re.sub(r"\{[^}]*\}", "*", row) for row, _ in rows} - {"key"}
    there = {
        re.sub(r"\{[^}]*\}", "*", key.replace("messages", "{lane}")) for key in made().values()
    }
    assert {key.removesuffix("*") for key in there} == {key.removesuffix("*") for key in documented}


def test_every_key_has_a_bound() -> None:
    assert keys.__doc__ is not None
    what, bounds = re.split(r"(?m)^What bounds each", keys.__doc__)
    rows = re.findall(r"(?m)^\| ([a-z:{} ]+?) \| (.+) \| (.+) \|$", bounds)
    bounded = {
        key for key, bound, each in rows if re.search(r"\w", bound) and re.search(r"\d", each)
    }
    documented = set(re.findall(r"(?m)^\| ([a-z:{} ]+?) \|", what))
    assert bounded == documented - {"key"}


def test_no_two_kinds_share_a_key() -> None:
    others = {name: key for name, key in made().items() if name != "COUNTERS_PREFIX"}
    assert len(set(others.values())) == len(others)


def test_lanes_and_vendors_are_kept_apart() -> None:
    assert keys.inbox(Lane.MESSAGES, "v") != keys.inbox(Lane.STATUSES, "v")
    assert keys.inbox(Lane.MESSAGES, "v") != keys.inbox(Lane.MESSAGES, "w")
    assert keys.counters("v") == keys.COUNTERS_PREFIX + "v"
