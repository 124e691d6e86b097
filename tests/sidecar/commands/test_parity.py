"""``sidecar parity``: the verdict and its reasons."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
import pytest
from click.testing import Result

from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.shadow.parity import count_name
from sidecar.shadow.recorder import day_of
from sidecar.shadow.rules import SENTENCES, Class, Kind, Rule
from tests.sidecar.conftest import RunCommand

pytestmark = pytest.mark.usefixtures("own_environment")

VENDOR = "vendor-1"
DAY_MS = 86_400_000
EQUAL_LOGS = count_name(Kind.LOG_ROW, Class.EQUAL)
EQUAL_BOTS = count_name(Kind.BOTS, Class.EQUAL)
EXTRA_BOTS = count_name(Kind.BOTS, Class.EXTRA)


@pytest.fixture
def run(run_command: RunCommand) -> Callable[..., Result]:
    return partial(run_command, "parity")


@pytest.fixture
def keep(redis_url: str) -> Callable[..., None]:
    """Keep results of a day, so many days ago, and examples."""

    async def connected(work: Callable[[Redis], Awaitable[None]]) -> None:
        client = connect(redis_url, timeout_s=5.0)
        try:
            await work(client)
        finally:
            await client.aclose()

    def keep(
        counts: dict[str, int],
        *examples: dict[str, Any],
        days_ago: int = 0,
        vendor: str = VENDOR,
    ) -> None:
        async def work(redis: Redis) -> None:
            await redis.sadd(keys.SHADOWED, vendor)
            at = now_ms() - days_ago * DAY_MS
            day = keys.parity_day(vendor, day_of(at))
            for name, value in {"first": at, "last": at, **counts}.items():
                await redis.hset(day, name, value)
            for one in examples:
                name = keys.parity_examples(vendor, one["kind"], one["class"])
                await redis.lpush(name, orjson.dumps({"at": at, "recorded_at": at, **one}))

        asyncio.run(connected(work))

    return keep


def example(kind: Kind, class_: Class, sidecar: Any, php: Any) -> dict[str, Any]:
    return {
        "kind": kind.value,
        "class": class_.value,
        "rule": None,
        "wamid": "wamid.1",
        "sidecar": sidecar,
        "php": php,
    }


BOTS = {"bots": ["b1", "b2"], "types": {"b1": "is", "b2": "contains"}, "text": [5, "c0ffee"]}


def enough(keep: Callable[..., None], **more: int) -> None:
    """Keep what makes a vendor ready."""
    keep({EQUAL_LOGS: 600}, days_ago=1)
    keep({EQUAL_LOGS: 400, **more})


def test_a_vendor_that_is_ready(run: Callable[..., Result], keep: Callable[..., None]) -> None:
    enough(keep)
    result = run(VENDOR)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith(f"{VENDOR}: ready\n")
    assert "1000 updates compared, from " in result.stdout
    assert "campaigns: not compared" in result.stdout
    assert run().exit_code == 0


@pytest.mark.parametrize(
    ("counts", "days_ago", "because"),
    [
        ({EQUAL_LOGS: 399}, 1, "999 updates were compared, and it takes 1000"),
        ({EQUAL_LOGS: 400}, 0, "it was compared for 0.0 s, and takes 24 h"),
        ({EQUAL_LOGS: 400, EXTRA_BOTS: 2}, 1, "no rule explains 2 of bots extra"),
    ],
)
def test_a_vendor_that_is_not_ready(
    run: Callable[..., Result],
    keep: Callable[..., None],
    counts: dict[str, int],
    days_ago: int,
    because: str,
) -> None:
    keep({EQUAL_LOGS: 600}, days_ago=days_ago)
    keep({**counts, EQUAL_LOGS: counts[EQUAL_LOGS] + (0 if days_ago else 600)})
    result = run(VENDOR)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{VENDOR}: not ready: {because}\n")
    page = orjson.loads(run(VENDOR, "--json").stdout)
    assert (page["ready"], page["vendors"][0]["obstacles"]) == (False, [because])


def test_all_vendors_must_be_ready(run: Callable[..., Result], keep: Callable[..., None]) -> None:
    enough(keep)
    keep({EQUAL_LOGS: 1}, vendor="vendor-2")
    result = run()
    assert result.exit_code == 1
    assert f"{VENDOR}: ready\n" in result.stdout
    assert "vendor-2: not ready" in result.stdout


def test_no_vendor_at_all(run: Callable[..., Result]) -> None:
    result = run()
    assert (result.exit_code, result.stdout) == (
        0,
        "no vendor has results from shadow; sidecar cutover VENDOR --webhooks shadow begins it\n",
    )
    assert orjson.loads(run("--json").stdout) == {"ready": False, "vendors": []}
    unknown = run("nobody")
    assert unknown.exit_code == 1
    assert "nothing was compared" in unknown.stdout


def test_older_days_are_left_out(run: Callable[..., Result], keep: Callable[..., None]) -> None:
    old = example(Kind.BOTS, Class.EXTRA, BOTS, {"bots": []})
    keep({EXTRA_BOTS: 3}, old, days_ago=3)
    enough(keep)
    assert run(VENDOR).exit_code == 1
    assert run(VENDOR, "--days", "4").exit_code == 1
    result = run(VENDOR, "--days", "3")
    assert result.exit_code == 0
    [vendor] = orjson.loads(run(VENDOR, "--json", "--days", "3").stdout)["vendors"]
    assert vendor["examples"] == []
    assert run(VENDOR, "--days", "15").exit_code == 2


def test_results_can_be_forgotten(
    run: Callable[..., Result], keep: Callable[..., None], run_command: RunCommand
) -> None:
    keep({EXTRA_BOTS: 3}, example(Kind.BOTS, Class.EXTRA, BOTS, None))
    assert run(VENDOR, "--reset").exit_code == 0
    page = orjson.loads(run(VENDOR, "--json").stdout)["vendors"][0]
    assert (page["compared"], page["examples"]) == (0, [])
    assert run("--reset").exit_code == 2
    [recorded] = run_command("audit", "--json").stdout.splitlines()
    assert '"action":"parity.reset","target":"vendor-1","outcome":"done"' in recorded


def test_what_is_explained(run: Callable[..., Result], keep: Callable[..., None]) -> None:
    rule = Rule.ONLY_FIRST_ELEMENT
    explained = {
        count_name(Kind.STATUS, Class.EXPLAINED): 2,
        count_name(Kind.STATUS, Class.EXPLAINED, rule): 2,
        count_name(Kind.LOG_ROW, Class.EXPLAINED): 1,
        count_name(Kind.LOG_ROW, Class.EXPLAINED, rule): 1,
    }
    enough(keep, **explained, recorded=9, dropped=4, not_compared=5)
    result = run(VENDOR)
    assert result.exit_code == 0
    assert f"only_first_element (3): {SENTENCES[rule]}" in result.stdout
    assert "webhooks: 9 recorded, 4 dropped for lack of room" in result.stdout
    assert "not compared for lack of a key: 5" in result.stdout
    [vendor] = orjson.loads(run(VENDOR, "--json").stdout)["vendors"]
    assert vendor["explained"] == 3
    assert vendor["rules"] == {rule.value: {"count": 3, "sentence": SENTENCES[rule]}}
    assert vendor["kinds"]["status"]["explained"] == 2


def test_bots_of_which_php_cannot_tell(
    run: Callable[..., Result], keep: Callable[..., None]
) -> None:
    rule = Rule.PHP_CANNOT_TELL_BOTS
    blind = {
        count_name(Kind.BOTS, Class.EXPLAINED): 2,
        count_name(Kind.BOTS, Class.EXPLAINED, rule): 2,
    }
    enough(keep, **blind)
    assert "NOTE: no bots were compared" in run(VENDOR).stdout
    keep({**blind, EQUAL_LOGS: 400, EQUAL_BOTS: 1})
    assert "NOTE" not in run(VENDOR).stdout


def test_a_few_examples_are_shown_and_all_are_in_the_json(
    run: Callable[..., Result], keep: Callable[..., None]
) -> None:
    many = [example(Kind.BOTS, Class.EXTRA, BOTS, None)] * 5
    keep({EXTRA_BOTS: 5}, *many)
    assert run(VENDOR).stdout.count("wamid.1 at ") == 3
    assert len(orjson.loads(run(VENDOR, "--json").stdout)["vendors"][0]["examples"]) == 5


def test_of_several_vendors_a_table_stands_first(
    run: Callable[..., Result], keep: Callable[..., None]
) -> None:
    enough(keep)
    keep({"updates": 1, EQUAL_LOGS: 1}, vendor="vendor-2")
    head, *lines = run().stdout.splitlines()
    assert head.split()[:3] == ["VENDOR", "READY", "EQUAL"]
    rows = [line.split()[:2] for line in lines[:2]]
    assert rows == [["vendor-1", "yes"], ["vendor-2", "no"]]
    assert lines[2] == ""
    assert "VENDOR" not in run(VENDOR).stdout
