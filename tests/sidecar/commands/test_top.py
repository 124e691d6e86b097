"""``sidecar top``: once, and live in a terminal."""

import asyncio
import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from rich.console import Console

from sidecar.commands import top
from sidecar.commands.top import Reader, live
from sidecar.commands.top_text import Frame
from sidecar.ops.report import Reached
from sidecar.php.client import make_backend
from sidecar.redis.client import Redis
from simulator.ports import free_ports
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.running import SETTINGS
from tests.sidecar.service import VENDOR

ROOT = Path(__file__).parents[3]
_SCREEN = {"TERM": "xterm", "COLUMNS": "100", "LINES": "30", "PYTHONPATH": str(ROOT)}
ONCE = ("top", "--once", "--every", "0.05")


async def test_one_frame(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    php.add_campaign("c-1", VENDOR, title="Spring")
    await redis.hset("campaigns", "c-1", VENDOR)
    result = await run_beside_php(*ONCE)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("whatsapp-sidecar  ")
    assert "PHP answers" in lines[0]
    assert any(line.startswith("[serve-not-running] ") for line in lines)
    assert any(line.split()[:2] == ["0.0/s", "0.0/s"] for line in lines), "rates are known"
    assert any(line.startswith("Spring") for line in lines)
    assert "\x1b" not in result.stdout


async def test_in_a_pipe_nothing_is_cut(run_beside_php: RunBesidePhp, php: Php) -> None:
    title = "A title that is long " * 12
    php.add_campaign("c-1", VENDOR, title=title, reason="by hand " * 20, state="paused")
    result = await run_beside_php(*ONCE)
    [line] = [line for line in result.stdout.splitlines() if line.startswith("A title")]
    assert title.strip() in line
    assert ("by hand " * 20).strip() in line
    assert "…" not in result.stdout


async def test_in_a_pipe_it_is_printed_once(
    run_beside_php: RunBesidePhp, php: Php, redis: Redis
) -> None:
    result = await run_beside_php("top", "--every", "0.05")
    assert result.exit_code == 0
    assert result.stdout.count("whatsapp-sidecar") == 1


async def test_on_a_terminal_once(
    run_beside_php: RunBesidePhp, php: Php, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await run_beside_php(*ONCE, FORCE_COLOR="1", TERM="xterm", COLUMNS="60")
    assert result.exit_code == 0
    assert "\x1b[1m" in result.stdout
    assert "\x1b[?1049h" not in result.stdout


async def test_on_a_terminal_it_goes_on(
    run_beside_php: RunBesidePhp, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = []

    async def fake(_reader: object, _console: object, every_s: float) -> None:
        every.append(every_s)

    monkeypatch.setattr(top, "live", fake)
    result = await run_beside_php("top", "--every", "7", FORCE_COLOR="1", TERM="xterm")
    assert (result.exit_code, every) == (0, [7.0])


async def test_as_json(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    result = await run_beside_php("top", "--json", "--every", "0.05")
    found = orjson.loads(result.stdout)
    assert found["rates"]["webhooks"] == 0.0
    assert found["php"]["answers"]
    assert found["problems"]


async def test_php_is_away(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    await redis.hset("campaigns", "c-1", VENDOR)
    await php.stop()
    result = await run_beside_php(*ONCE)
    assert result.exit_code == 0
    assert "PHP UNAVAILABLE" in result.stdout
    assert "c-1" in result.stdout


async def test_the_public_address_is_away(run_beside_php: RunBesidePhp) -> None:
    [port] = free_ports(1)
    result = await run_beside_php(*ONCE, SIDECAR_PUBLIC_URL=f"http://127.0.0.1:{port}")
    assert "\n[public-url-unavailable] " in result.stdout


async def test_it_is_not_tried_for_each_frame(
    redis: Redis,
    redis_url: str,
    php: Php,
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    async def reached(*arguments: object) -> Reached:
        tries.append(arguments)
        return Reached(public="it answers 502")

    monkeypatch.setattr(top, "read_reached", reached)
    settings = make_settings(backend_url=php.url)
    backend = make_backend(settings)
    reader = Reader(settings, redis, redis_url, backend)
    frames = [await reader.read(), await reader.read()]
    monkeypatch.setattr(top, "REACHED_S", 0.0)
    frames.append(await reader.read())
    await backend.close()
    assert {frame.report.reached.public for frame in frames} == {"it answers 502"}
    assert len(tries) == 2


async def test_redis_is_away(run_beside_php: RunBesidePhp, php: Php) -> None:
    result = await run_beside_php(*ONCE, SIDECAR_REDIS_URL="redis://127.0.0.1:9/0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: Redis is unavailable: ")


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        self._end, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sidecar.commands.main", *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env={**os.environ, **environment, **_SCREEN},
            start_new_session=True,
            # Whoever runs the tests in the background has it ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(child)
        self.text = ""

    def wait_for(self, words: str) -> None:
        """Wait until it has written this."""
        end = time.monotonic() + 60
        while words not in self.text:
            assert time.monotonic() < end, self.text
            self.read()

    def read(self) -> bool:
        """Take what it writes; False at its end."""
        if select.select([self._end], [], [], 1.0)[0]:
            try:
                self.text += os.read(self._end, 65536).decode(errors="replace")
            except OSError:
                return False
        return True

    def interrupt(self) -> int:
        """Press Ctrl-C, and return how it ended."""
        self.process.send_signal(signal.SIGINT)
        while self.read():
            pass
        os.close(self._end)
        return self.process.wait(60)


def test_live_while_redis_is_away_and_there_again(own_environment: None, tmp_path: Path) -> None:
    """Ctrl-C ends it, and the terminal is as it was."""
    [port] = free_ports(1)
    settings = {**SETTINGS, "SIDECAR_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    terminal = Terminal("top", "--every", "0.1", environment=settings)
    try:
        terminal.wait_for("Redis is unavailable")
        server = RedisServer(tmp_path / "redis")
        server.port = port
        with server:
            terminal.wait_for("serve-not-running")
            assert terminal.interrupt() == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
    assert "\x1b[?1049h" in terminal.text
    assert terminal.text.rindex("\x1b[?1049l") > terminal.text.rindex("\x1b[?1049h")
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
    assert "Traceback" not in terminal.text


async def test_the_terminal_is_left_as_it_was_after_an_error(
    redis: Redis, redis_url: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    settings = make_settings()
    backend = make_backend(settings)
    reader = Reader(settings, redis, redis_url, backend)
    looks = 0

    async def read(_: Reader) -> Frame:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RedisConnectionError("refused")
        raise ZeroDivisionError

    monkeypatch.setattr(Reader, "read", read)
    with pytest.raises(ZeroDivisionError):
        await live(reader, console, 0.01)
    await backend.close()
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "Redis is unavailable: refused" in text or "ConnectionError" in text
    assert text.endswith(("\x1b[?25h", "\x1b[?1049l"))


async def test_ctrl_c_ends_it(
    redis: Redis, redis_url: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    settings = make_settings()
    backend = make_backend(settings)
    task = asyncio.create_task(live(Reader(settings, redis, redis_url, backend), console, 60))
    assert isinstance(console.file, io.StringIO)
    file = console.file
    await eventually(lambda: "serve-not-running" in file.getvalue())
    task.cancel()
    await task
    await backend.close()
    assert file.getvalue().count("whatsapp-sidecar") == 1
