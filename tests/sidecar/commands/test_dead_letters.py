"""``sidecar dead-letters``: listing, saving, choosing, replaying and discarding."""

import asyncio
import base64
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from click.testing import Result

from contracts.effects import EffectKind, Forward
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.effects.outbox import Ended, Outbox, effects_lease
from sidecar.ops.accounting import Counters
from sidecar.ops.audit import Audit
from sidecar.ops.dead_letters import Choice, DeadLetter, DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from tests.sidecar.conftest import RunCommand
from tests.sidecar.ops.test_dead_letters import add_dead_letter

HOUR_MS = 3_600_000

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(run_command: RunCommand) -> Run:
    """Run a command, which has a loop of its own."""
    return lambda *arguments: asyncio.to_thread(run_command, *arguments)


@pytest.fixture
async def letters(redis: Redis) -> DeadLetters:
    """Three dead letters: an old one and a new one of v, and one of w, for another reason."""
    now = now_ms()
    await add_dead_letter(redis, 0, "v", now - 50 * HOUR_MS)
    await add_dead_letter(redis, 1, "w", now - 40 * HOUR_MS, reason="PHP: the contact is Locked")
    await add_dead_letter(redis, 2, "v", now)
    await redis.sadd(keys.VENDORS, "v", "w")
    await redis.hset(keys.counters("v"), "updates", 2)
    await redis.hset(keys.counters("w"), "updates", 1)
    return DeadLetters(redis)


async def left(letters: DeadLetters) -> list[str]:
    return [letter.id async for letter in letters.all()]


async def assert_balanced(redis: Redis) -> None:
    for accounting in await Counters(redis).read():
        assert accounting.balanced, accounting


# -- list and show --


async def test_listing(run: Run, letters: DeadLetters) -> None:
    result = await run("dead-letters", "list", "--json")
    assert result.exit_code == 0
    lines = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [line["id"] for line in lines] == ["letter-0", "letter-1", "letter-2"]
    assert lines[0]["reason"] == "the routine failed"
    assert "Ada" not in result.stdout
    result = await run("dead-letters", "list", "--vendor", "w", "--json")
    assert orjson.loads(result.stdout)["id"] == "letter-1"


async def test_listing_for_people(
    run: Run, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.commands.dead_letters.BATCH", 2)
    head, *lines = (await run("dead-letters", "list")).stdout.splitlines()
    assert head.split() == ["GIVEN", "UP", "ID", "KIND", "VENDOR", "WAMID", "TRIES", "REASON"]
    assert [line.split()[2] for line in lines] == ["letter-0", "letter-1", "letter-2"]
    assert lines[0].endswith("10  the routine failed")
    result = await run("dead-letters", "list", "--vendor", "nobody")
    assert result.stdout == "no dead letters\n"


async def test_showing_one(run: Run, letters: DeadLetters) -> None:
    result = await run("dead-letters", "show", "letter-1")
    assert orjson.loads(result.stdout)["payload"] == {"text": "Dear Ada"}
    result = await run("dead-letters", "show", "letter-9")
    assert (result.exit_code, result.stderr) == (1, "Error: no dead letter letter-9\n")


async def test_showing_what_could_not_be_read(run: Run, redis: Redis) -> None:
    body = base64.b64encode(b'{"id": 1, "\xff').decode()
    await add_dead_letter(redis, 1, kind=None, payload=None, body=body)
    shown = orjson.loads((await run("dead-letters", "show", "letter-1")).stdout)
    assert (shown["kind"], shown["body"]) == ("unreadable", '{"id": 1, "\\xff')


# -- replay --


async def waiting(redis: Redis) -> int:
    """Return how many updates wait to be tried."""
    return sum([await redis.llen(key) for key in await redis.keys("deferred:messages:*")])


async def test_replaying_some(run: Run, letters: DeadLetters, redis: Redis) -> None:
    result = await run("dead-letters", "replay", "letter-0", "letter-2")
    assert result.stdout == "2 replayed; workers pick them up within a second\n"
    assert await waiting(redis) == 2
    result = await run("dead-letters", "replay", "letter-0", "letter-1")
    assert (result.exit_code, result.stderr) == (1, "Error: no dead letter letter-0\n")
    assert await waiting(redis) == 2


@pytest.mark.parametrize(
    ("vendor", "count"), [((), 3), (("--vendor", "v"), 2), (("--vendor", "x"), 0)]
)
async def test_replaying_all(
    run: Run, letters: DeadLetters, redis: Redis, vendor: tuple[str, ...], count: int
) -> None:
    result = await run("dead-letters", "replay", "--all", *vendor)
    assert result.stdout.startswith(f"{count} replayed")
    assert await waiting(redis) == count


@pytest.mark.parametrize("arguments", [(), ("--all", "letter-1"), ("--vendor", "v")])
async def test_replaying_nothing_in_particular(run: Run, arguments: tuple[str, ...]) -> None:
    result = await run("dead-letters", "replay", *arguments)
    assert result.exit_code == 2
    assert "name the letters, or say --all" in result.stderr


# -- export --


async def test_everything_is_written_to_a_file_of_ones_own(
    run: Run, letters: DeadLetters, redis: Redis, tmp_path: Path
) -> None:
    file = tmp_path / "letters.jsonl"
    result = await run("dead-letters", "export", str(file))
    assert (result.exit_code, result.stdout) == (0, "3 exported\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert [line["id"] for line in lines] == ["letter-0", "letter-1", "letter-2"]
    for line in lines:
        letter = await letters.get(line["id"])
        assert letter is not None
        assert line == {
            "id": letter.id,
            "vendor_uid": letter.vendor_uid,
            "lane": Lane.MESSAGES,
            "given_up_at": letter.given_up_at,
            "update": letter.update,
        }
    assert len(await left(letters)) == 3


async def test_a_file_that_exists_is_left_alone(
    run: Run, letters: DeadLetters, tmp_path: Path
) -> None:
    file = tmp_path / "letters.jsonl"
    file.write_text("mine")
    result = await run("dead-letters", "export", str(file))
    assert result.exit_code == 1
    assert result.stderr == f"Error: cannot write {file}: File exists\n"
    assert file.read_text() == "mine"


async def test_to_standard_output_go_only_the_letters(run: Run, letters: DeadLetters) -> None:
    result = await run("dead-letters", "export", "-", "--reason", "locked")
    assert [orjson.loads(line)["id"] for line in result.stdout.splitlines()] == ["letter-1"]
    assert result.stderr == "1 exported\n"


# -- import --


async def test_what_was_exported_and_discarded_comes_back(
    run: Run, letters: DeadLetters, redis: Redis, tmp_path: Path
) -> None:
    before = {letter.id: letter.update async for letter in letters.all()}
    file = str(tmp_path / "letters.jsonl")
    await run("dead-letters", "export", file)
    await run("dead-letters", "discard", "--vendor", "v", "--yes")
    result = await run("dead-letters", "import", file)
    assert (result.exit_code, result.stdout) == (0, "2 imported, 1 were there already\n")
    assert {letter.id: letter.update async for letter in letters.all()} == before
    await assert_balanced(redis)
    result = await run("dead-letters", "replay", "--all")
    assert result.stdout.startswith("3 replayed")
    await assert_balanced(redis)


async def test_effects_come_back_as_well(run: Run, redis: Redis, tmp_path: Path) -> None:
    outbox = Outbox(redis, remember_s=60, limit=100)
    await outbox.put("v", [Forward(id="a", body={"x": "ä"})])
    [queued] = await outbox.due(EffectKind.FORWARD, "v", now_ms() + 9, 10)
    async with Leases(redis, 10_000).hold(effects_lease(EffectKind.FORWARD, "v")) as lease:
        assert lease is not None
        await outbox.end(lease, EffectKind.FORWARD, "v", [Ended("a", EffectState.DEAD, queued)])
    file = str(tmp_path / "letters.jsonl")
    await run("dead-letters", "export", file)
    await run("dead-letters", "discard", "--all", "--yes")
    assert (await run("dead-letters", "import", file)).stdout.startswith("1 imported")
    assert (await run("dead-letters", "replay", "--all")).stdout.startswith("1 replayed")
    [again] = await outbox.due(EffectKind.FORWARD, "v", now_ms() + 9, 10)
    assert again.effect == queued.effect
    await assert_balanced(redis)


@pytest.mark.parametrize(
    "line", [b"no", b"{}", b"[]", b'{"id":"a","vendor_uid":"v","lane":"x","update":{}}']
)
async def test_a_line_that_is_no_letter(
    run: Run, letters: DeadLetters, tmp_path: Path, line: bytes
) -> None:
    file = tmp_path / "letters.jsonl"
    await run("dead-letters", "export", str(file))
    file.write_bytes(file.read_bytes() + line + b"\n")
    await run("dead-letters", "discard", "--all", "--yes")
    result = await run("dead-letters", "import", str(file))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: line 4 is not a dead letter as export writes it")
    assert await left(letters) == []


# -- which --


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--vendor", "v"), [0, 2]),
        (("--reason", "locked"), [1]),
        (("--older-than", "39h"), [0, 1]),
        (("--older-than", "2d"), [0]),
        (("--vendor", "v", "--older-than", "30m"), [0]),
        (("--vendor", "x"), []),
        (("--kind", "message"), [0, 1, 2]),
        (("--kind", "updates", "--vendor", "w"), [1]),
        (("--kind", "effects"), []),
    ],
)
async def test_choosing(
    run: Run,
    letters: DeadLetters,
    redis: Redis,
    options: tuple[str, ...],
    ids: list[int],
) -> None:
    result = await run("dead-letters", "list", "--json", *options)
    found = [orjson.loads(line)["id"] for line in result.stdout.splitlines()]
    assert found == [f"letter-{number}" for number in ids]
    result = await run("dead-letters", "discard", *options, "--yes")
    assert result.stdout.splitlines()[-1] == f"{len(ids)} discarded"
    assert await left(letters) == [f"letter-{n}" for n in range(3) if n not in ids]
    await assert_balanced(redis)


async def test_an_age_that_is_none(run: Run) -> None:
    result = await run("dead-letters", "list", "--older-than", "yesterday")
    assert result.exit_code == 2
    assert "is not a duration; write 90s, 30m, 12h or 7d" in result.stderr


async def test_replaying_those_that_are_meant(run: Run, letters: DeadLetters, redis: Redis) -> None:
    result = await run("dead-letters", "replay", "--all", "--reason", "locked")
    assert result.stdout.startswith("1 replayed")
    assert await left(letters) == ["letter-0", "letter-2"]
    await assert_balanced(redis)


# -- discard --


async def test_they_are_counted_first(run: Run, letters: DeadLetters, redis: Redis) -> None:
    result = await run("dead-letters", "discard", "--all")
    assert result.exit_code == 0
    assert result.stdout == (
        "2 of vendor v\n1 of vendor w\n3 would be discarded; nothing was done: say --yes\n"
    )
    assert len(await left(letters)) == 3


async def test_those_that_are_named(run: Run, letters: DeadLetters, redis: Redis) -> None:
    result = await run("dead-letters", "discard", "letter-1", "letter-2", "--yes")
    assert result.stdout.splitlines()[-1] == "2 discarded"
    assert await left(letters) == ["letter-0"]
    result = await run("dead-letters", "discard", "letter-1", "letter-0", "--yes")
    assert (result.exit_code, result.stderr) == (1, "Error: no dead letter letter-1\n")
    assert await left(letters) == ["letter-0"]
    await assert_balanced(redis)
    found = {one.vendor_uid: one.check("dead_updates") for one in await Counters(redis).read()}
    assert found["w"].parts["discarded"] == 1


@pytest.mark.parametrize("arguments", [(), ("letter-1", "--all"), ("letter-1", "--vendor", "v")])
async def test_discarding_nothing_in_particular(run: Run, arguments: tuple[str, ...]) -> None:
    result = await run("dead-letters", "discard", *arguments, "--yes")
    assert result.exit_code == 2
    assert "name the letters, or say which" in result.stderr


async def test_somebody_else_was_faster(letters: DeadLetters, redis: Redis) -> None:
    chosen = [letter async for letter in letters.all(Choice(vendor_uid="v"))]
    assert await letters.replay(chosen[0])
    assert await letters.discard(chosen) == 1
    assert not await letters.replay(chosen[1])
    await assert_balanced(redis)


@pytest.mark.usefixtures("letters")
async def test_what_was_done_in_numbers(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "letters")
    await run("dead-letters", "export", file)
    for arguments, counts in (
        (("discard", "--all"), {"found": 3, "discarded": 0, "vendors": {"v": 2, "w": 1}}),
        (("import", file), {"imported": 0, "there_already": 3}),
        (("replay", "--all", "--vendor", "w"), {"replayed": 1}),
        (("discard", "--all", "--yes"), {"found": 2, "discarded": 2, "vendors": {"v": 2}}),
    ):
        result = await run("dead-letters", *arguments, "--json")
        assert result.exit_code == 0, result.output
        assert orjson.loads(result.stdout) == counts


# -- the audit --


async def test_what_was_done_is_recorded(
    run: Run, letters: DeadLetters, redis: Redis, tmp_path: Path
) -> None:
    file = tmp_path / "letters.jsonl"
    await run("dead-letters", "export", str(file))
    await run("dead-letters", "discard", "--vendor", "v")
    assert await Audit(redis, 100).read() == []
    await run("dead-letters", "discard", "--vendor", "v", "--yes")
    await run("dead-letters", "import", str(file))
    await run("dead-letters", "replay", "letter-0", "letter-1")
    replayed, imported, discarded = await Audit(redis, 100).read()
    assert {entry.who.kind for entry in (replayed, imported, discarded)} == {"command"}
    assert (replayed.action, replayed.target) == ("dead_letters.replay", "letter-0, letter-1")
    assert replayed.details == {"done": 2}
    assert (imported.action, imported.details) == ("dead_letters.import", {"imported": 2})
    assert (discarded.action, discarded.target) == ("dead_letters.discard", "of vendor v")
    assert (discarded.outcome, discarded.details) == ("done", {"done": 2})


async def test_how_far_it_came_is_recorded(
    run: Run, letters: DeadLetters, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = DeadLetters.replay

    async def failing(self: DeadLetters, letter: DeadLetter) -> bool:
        if letter.id == "letter-2":
            raise ConnectionError("away")
        return await replay(self, letter)

    monkeypatch.setattr(DeadLetters, "replay", failing)
    result = await run("dead-letters", "replay", "--all")
    assert (result.exit_code, result.stderr) == (
        1,
        "2 of 3 were done before that\n"
        "Error: Redis is unavailable: away; sidecar check tries redis_url\n",
    )
    [entry] = await Audit(redis, 100).read()
    assert (entry.target, entry.outcome) == ("all", "failed")
    assert entry.details == {"done": 2, "reason": "away"}


async def test_what_cannot_be_replayed_is_told(
    run: Run, letters: DeadLetters, redis: Redis
) -> None:
    await redis.hset(keys.dead_letters("w"), "letter-1", b'{"lane":"messages","update":{}}')
    result = await run("dead-letters", "replay", "--all")
    assert result.stdout.startswith("2 replayed")
    assert result.stderr == "1 cannot be replayed: KeyError in what is stored\n"
    assert await left(letters) == ["letter-1"]


async def test_a_bar_for_what_takes_long(
    run: Run, letters: DeadLetters, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal only, and not where scripts read."""
    monkeypatch.setattr("sidecar.commands.dead_letters.BATCH", 2)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    result = await run("dead-letters", "replay", "--all", "--json")
    assert orjson.loads(result.stdout) == {"replayed": 3}
    assert "replay dead letters" in result.stderr
    assert "3/3" in result.stderr
