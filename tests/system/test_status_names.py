"""``sidecar status`` names every fault that the simulators and chaos know, says what to do, and is
silent once it is over: on one installation with a small load, all faults that bear each other at
the same time, the others in turn."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import orjson
import pytest

from sidecar import logs
from sidecar.ops.problem import Code
from tests.system.status_table import (
    TABLE,
    Api,
    As,
    OfPart,
    OfPhp,
    Other,
    Outside,
    Row,
    Unseen,
    known_faults,
)
from tests.system.status_world import Said, World

#: Until a fault is named, and until nothing is wrong any more. It takes less than 10 s where the
#: machine has time; all faults at once on a busy one take longer.
NAMED_S, GONE_S = 90.0, 120.0
#: When a person looks again: an answer that was late has paused a campaign anew, say.
AGAIN_S = 20.0

log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Row)

#: Where the JSON names all, by code: the problems name a few.
_SECTIONS = {
    Code.CLOUD_API_DOWN: ("numbers",),
    Code.NUMBER_HELD: ("numbers",),
    Code.ROWS_FAILING: ("sends",),
    Code.EFFECTS_FAILING: ("effects",),
}


def codes(name: str) -> tuple[Code, ...]:
    row = TABLE[name]
    assert not isinstance(row, As | Unseen), name
    return row.codes


def rows(kind: type[Kind]) -> dict[str, Kind]:
    return {name: row for name, row in TABLE.items() if isinstance(row, kind)}


# -- the table --


def test_the_table_has_every_fault() -> None:
    assert known_faults() - TABLE.keys() == set(), "say how sidecar status names it"
    for name, row in TABLE.items():
        if isinstance(row, As):
            assert not isinstance(TABLE[row.fault], As | Unseen), name
        elif isinstance(row, Unseen):
            assert row.why, name


# -- one installation for all --


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)
    world = World(tmp_path)
    of_victims = [name for name, row in rows(OfPhp).items() if row.of_victim]
    try:
        world.start([*rows(Api), "chaos number"], [*rows(Outside), *of_victims])
        yield world
    finally:
        world.stop()


def test_each_is_named_and_gone_when_it_is_over(world: World) -> None:
    took: dict[str, float] = {}
    for part in (well, of_victims, of_php, of_processes, of_services, well):
        began = time.monotonic()
        first = part(world)
        took |= first
        log.info("%s: %.1f s, named after %s", part.__name__, time.monotonic() - began, first)
    done = {name for name, row in TABLE.items() if not isinstance(row, As | Unseen)}
    assert took.keys() == done


def well(world: World) -> dict[str, float]:
    """Wait until nothing is wrong."""
    looked = time.monotonic()

    def is_well(said: Said) -> bool:
        nonlocal looked
        if said.codes and time.monotonic() > looked + AGAIN_S:
            log.info("still there: %s", said.codes)
            see_to(world, again=True)
            looked = time.monotonic()
        return said.exit_code == 0

    said = until(world, is_well)
    assert said.codes == []
    return {}


def until(world: World, condition: Callable[[Said], bool]) -> Said:
    end = time.monotonic() + GONE_S
    while not condition(said := world.status()):
        log.debug("%s", said)
        assert time.monotonic() < end, f"not over: {said}"
        time.sleep(0.2)
    return said


def of_victims(world: World) -> dict[str, float]:
    """What happens to single vendors happens to all of them at the same time."""
    begin(world)
    names = world.victims.items()
    first = watch(world, {name: named(codes(name), *victim.names) for name, victim in names})
    for part, what in (
        ("cloud-api", "outages"),
        ("cloud-api", "faults"),
        ("cloud-api", "media-faults"),
        *((part, "faults") for part in ("vendor-webhook", "ai", "backend")),
    ):
        world.undo(part, what)
    for name, other in rows(Other).items():
        if name in world.victims:
            other.end(world)
    see_to(world)
    return first


def begin(world: World) -> None:
    victims = world.victims
    world.order("cloud-api", "pause-webhooks")
    for name, api in rows(Api).items():
        world.order("cloud-api", api.what, **api.fields, phone_number_id=victims[name].number)
    for name, outside in rows(Outside).items():
        if outside.part == "media":
            media_id = world.send_picture(name)
            world.order("cloud-api", "media-faults", **outside.fields, media_id=media_id)
        else:
            about = f"about {name}"
            contains = about if outside.part == "ai" else victims[name].number
            world.order(outside.part, "faults", **outside.fields, body_contains=contains)
            world.write(name, about, count=5)
    for name, php in rows(OfPhp).items():
        if php.of_victim:
            world.order("backend", "faults", **php.fields, body_contains=victims[name].number)
            world.write(name, "hello")
    for name, other in rows(Other).items():
        if name in victims:
            other.begin(world)
    world.order("cloud-api", "resume-webhooks")


def see_to(world: World, *, again: bool = False) -> None:
    """Do what a person does once all is mended; what was done before may be refused."""
    for name, api in rows(Api).items():
        victim = world.victims[name]
        assert victim.campaign is not None
        words = {
            "NUMBER": victim.number,
            "ACCOUNT": victim.vendor.business_account_id,
            "VENDOR": victim.vendor.uid,
            "CAMPAIGN": victim.campaign.uid,
        }
        for command in api.then:
            done = world.run(*(words.get(word, word) for word in command))
            assert again or done.exit_code == 0, (name, command, done.output)
    for name, outside in rows(Outside).items():
        if outside.part == "ai" and not again:
            world.write(name, "a question that is answered")
    world.run("unknown", "give-up", "--all", "--yes")
    world.run("dead-letters", "discard", "--all", "--yes")


def of_php(world: World) -> dict[str, float]:
    first: dict[str, float] = {}
    for name, row in rows(OfPhp).items():
        if not row.of_victim:
            world.order("backend", "faults", **row.fields)
            first |= watch(world, {name: named(row.codes)})
            world.undo("backend", "faults")
    return first


def of_processes(world: World) -> dict[str, float]:
    """Of each kind one is killed and another one suspended."""
    installation = world.installation
    installation.start_sidecar("sidecar-2")
    found = {name: row for name, row in rows(OfPart).items() if row.by_name}
    pids = {installation.processes[row.part].pid for row in found.values()}
    until(world, lambda said: pids <= {one["pid"] for one in said.report["processes"]})
    for row in found.values():
        (installation.suspend if row.suspended else installation.crash)(row.part)
    wanted = {
        name: named(row.codes, f":{installation.processes[row.part].pid} ")
        for name, row in found.items()
    }
    first = watch(world, wanted)
    for row in found.values():
        (installation.resume if row.suspended else installation.start)(row.part)
    return first


def of_services(world: World) -> dict[str, float]:
    installation = world.installation
    first: dict[str, float] = {}
    with world.clocks.off("worker-1", 600):
        first |= watch(world, {"chaos clock": named((Code.CLOCKS_DIFFER,))})
    for name, row in rows(OfPart).items():
        if row.by_name:
            continue
        (installation.suspend if row.suspended else installation.crash)(row.part)
        first |= watch(world, {name: named(row.codes)})
        (installation.resume if row.suspended else installation.start)(row.part)
    for name, other in rows(Other).items():
        if other.settings:
            first |= watch(world, {name: named(other.codes)}, settings=dict(other.settings))
    return first


# -- looking --


def watch(
    world: World,
    wanted: dict[str, Callable[[Said], bool]],
    settings: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Look until each has been named. Return after how many seconds it was."""
    began = time.monotonic()
    first: dict[str, float] = {}
    while True:
        said = world.status(**(settings or {}))
        took = time.monotonic() - began
        first |= {name: took for name in wanted if name not in first and wanted[name](said)}
        left = sorted(wanted.keys() - first.keys())
        if not left:
            return first
        assert took < NAMED_S, f"after {took:.1f} s not named: {left}\n{said}"
        time.sleep(0.1)


def named(codes: Iterable[Code], *about: str) -> Callable[[Said], bool]:
    """Return what tells whether a problem of one of these codes is there, about one of these."""

    def is_named(said: Said) -> bool:
        assert said.exit_code == int(bool(said.codes)), said
        for code in codes:
            found = said.problems(code)
            assert all(one["what"] and one["do"].endswith(".") for one in found), found
            text = orjson.dumps([found, list(concerned(said, code))]).decode()
            if found and (not about or any(name in text for name in about)):
                return True
        return False

    return is_named


def concerned(said: Said, code: Code) -> Iterator[object]:
    """Yield what the JSON has beside the problems, of which a few are named."""
    holds = ("held", "account_held", "app_held")
    match code:
        case Code.CLOUD_API_DOWN:
            yield from (one for one in said.report.get("numbers", ()) if one["outage"])
        case Code.NUMBER_HELD:
            numbers = said.report.get("numbers", ())
            yield from (one for one in numbers if any(one[name] for name in holds))
        case Code.EFFECTS_FAILING:
            yield from (one["failing"] for one in said.report.get("effects", ()))
        case Code.DEAD_LETTERS:
            yield said.report.get("dead_letters")
