"""The command line."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from sidecar import logs
from sidecar.commands import main as cli
from sidecar.commands.main import main
from sidecar.redis.client import Redis, connect
from tests import trust
from tests.sidecar.ops.test_dead_letters import bury

pytestmark = pytest.mark.usefixtures("own_environment")

SETTINGS = {
    "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
    "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
}


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """How logging was set up; it is not, because that would be for good."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(logs, "configure", lambda *arguments: calls.append(arguments))
    return calls


@pytest.fixture
def own_signals() -> Iterator[None]:
    """What the command does with signals is undone."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env={**SETTINGS, **environment})


def test_help_names_every_command() -> None:
    for option in ("--help", "-h"):
        shown = run(option)
        assert shown.exit_code == 0
        for command in main.commands:
            assert command in shown.stdout
    ours = {"serve", "worker", "check", "status", "numbers", "dead-letters", "unknown"}
    migration = {"parity", "modes", "cutover", "rollback", "rollout", "adopt-webhooks"}
    assert ours | migration | {"demo", "simulate"} == set(main.commands)


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert version("whatsapp-sidecar") in result.stdout


@pytest.mark.parametrize("command", [("serve",), ("dead-letters", "list")])
def test_a_wrong_setting_is_one_line(command: tuple[str, ...]) -> None:
    result = run(*command, SIDECAR_PORT="eighty")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: setting port (SIDECAR_PORT) is wrong: input should be a valid integer, "
        "unable to parse string as an integer\n"
    )


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("command", [("serve",), ("dead-letters", "list")])
def test_an_embedded_valkey_that_does_not_start_is_one_line(command: tuple[str, ...]) -> None:
    result = run(*command, SIDECAR_DATA_DIR="x" * 120, SIDECAR_PORT="0")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the embedded Valkey did not start: ")
    assert len(result.stderr.splitlines()) == 1


def test_logging_is_set_up_as_the_settings_say(configured: list[tuple[str, ...]]) -> None:
    run(
        *("dead-letters", "list"),
        SIDECAR_LOG_LEVEL="error",
        SIDECAR_LOG_FORMAT="console",
        SIDECAR_REDIS_URL="redis://127.0.0.1:9/0",
    )
    assert configured == [("error", "console", "dead-letters")]


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (("worker", "messages", "statuses"), ("workers", "messages", "statuses")),
        (("worker", "--help"), ("workers", "--help")),
        (("simulate", "cloud-api", "--rate", "80"), ("simulator", "cloud-api", "--rate", "80")),
        (
            ("demo", "--messages", "5", "--json", "-"),
            ("simulator", "demo", "--messages", "5", "--json", "-"),
        ),
        (("demo", "-h"), ("simulator", "demo", "-h")),
    ],
)
def test_what_is_not_ours_runs_in_our_place(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], module: tuple[str, ...]
) -> None:
    """With every argument as it was given, and without a process in between."""
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, argv: became.append((path, argv)))
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert became == [(sys.executable, [sys.executable, "-m", *module])]


def test_neither_workers_nor_simulator_are_imported() -> None:
    assert not [name for name in vars(cli) if name in ("workers", "simulator")]


# -- dead letters --------------------------------------------------------------------------------


def in_redis(url: str, work: Callable[[Redis], Awaitable[Any]]) -> Any:
    """Do something with a client of its own."""

    async def connected() -> Any:
        client = connect(url, timeout_s=5.0)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(connected())


@pytest.fixture
def letters(redis_url: str) -> str:
    """Three dead letters. Returns the address of the Redis."""

    async def work(redis: Redis) -> None:
        for number, vendor_uid in enumerate(("v", "w", "v")):
            await bury(redis, number, vendor_uid)

    in_redis(redis_url, work)
    return redis_url


def waiting(url: str) -> int:
    """Return how many updates wait to be tried."""

    async def work(redis: Redis) -> int:
        return sum([await redis.llen(key) for key in await redis.keys("deferred:messages:*")])

    return int(in_redis(url, work))


def test_listing(letters: str) -> None:
    result = run("dead-letters", "list", SIDECAR_REDIS_URL=letters)
    assert result.exit_code == 0
    lines = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [line["id"] for line in lines] == ["letter-0", "letter-1", "letter-2"]
    assert lines[0]["reason"] == "the routine failed"
    assert "Ada" not in result.stdout

    result = run("dead-letters", "list", "--vendor", "w", SIDECAR_REDIS_URL=letters)
    assert orjson.loads(result.stdout)["id"] == "letter-1"


def test_showing_one(letters: str) -> None:
    result = run("dead-letters", "show", "letter-1", SIDECAR_REDIS_URL=letters)
    assert orjson.loads(result.stdout)["payload"] == {"text": "Dear Ada"}
    result = run("dead-letters", "show", "letter-9", SIDECAR_REDIS_URL=letters)
    assert (result.exit_code, result.stderr) == (1, "Error: there is no dead letter letter-9\n")


def test_replaying_some(letters: str) -> None:
    result = run("dead-letters", "replay", "letter-0", "letter-2", SIDECAR_REDIS_URL=letters)
    assert result.stdout == "2 replayed; workers take them up within a second\n"
    assert waiting(letters) == 2
    result = run("dead-letters", "replay", "letter-0", "letter-1", SIDECAR_REDIS_URL=letters)
    assert (result.exit_code, result.stderr) == (1, "Error: there is no dead letter letter-0\n")
    assert waiting(letters) == 2


@pytest.mark.parametrize(
    ("vendor", "count"), [((), 3), (("--vendor", "v"), 2), (("--vendor", "x"), 0)]
)
def test_replaying_all(letters: str, vendor: tuple[str, ...], count: int) -> None:
    result = run("dead-letters", "replay", "--all", *vendor, SIDECAR_REDIS_URL=letters)
    assert result.stdout.startswith(f"{count} replayed")
    assert waiting(letters) == count


@pytest.mark.parametrize("arguments", [(), ("--all", "letter-1"), ("--vendor", "v")])
def test_replaying_nothing_in_particular(arguments: tuple[str, ...]) -> None:
    result = run("dead-letters", "replay", *arguments)
    assert result.exit_code == 2
    assert "name the letters, or say --all" in result.stderr


def test_dead_letters_without_redis() -> None:
    result = run("dead-letters", "list", SIDECAR_REDIS_URL="redis://127.0.0.1:9/0")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Redis cannot be used: ")
    assert len(result.stderr.splitlines()) == 1


def test_dead_letters_of_the_embedded_valkey() -> None:
    result = run("dead-letters", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
