import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
from click.testing import CliRunner

from simulator.__main__ import main
from simulator.cloud_api.config import DEFAULT_PHONE_NUMBER_ID, CloudApiConfig
from tests.simulator.cloud_api.helpers import Receiver, eventually, message


@contextmanager
def _started(*options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-m", "simulator", "cloud-api", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        yield line.split()[-1], process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def test_runs_until_told_to_stop(receiver: Receiver) -> None:
    options = ["--rate", "250", "--webhook-url", receiver.url, "--app-secret", "secret"]
    options += ["--access-token", "token", "--phone-number-id", "1", "--phone-number-id", "2"]
    options += ["--sent-delay-ms", "0", "0", "--seed", "1", "--delivered-share", "0"]
    with _started(*options) as (url, process):
        headers = {"Authorization": "Bearer token"}
        async with aiohttp.ClientSession(url, headers=headers) as session:
            async with session.post("/v25.0/2/messages", json=message()) as answer:
                assert answer.status == 200
            await eventually(lambda: bool(receiver.webhooks))
            assert receiver.webhooks[0].is_signed("secret")
            async with session.get("/_simulator/report") as answer:
                report = await answer.json()
        assert report["accepted"] == 1
        assert [one["limit_per_s"] for one in report["numbers"].values()] == [250, 250]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


async def test_faults_of_the_connection(tmp_path: Path) -> None:
    # In a process of its own it runs on uvloop, whose transports are not asyncio's.
    kinds = ("reset_before_read", "reset_after_accept", "timeout_after_accept", "slow")
    faults = [{"kind": kind, "times": 1, "seconds": 0.1} for kind in kinds]
    path = tmp_path / "config.json"
    path.write_text(orjson.dumps({"faults": faults}).decode())
    with _started("--config", str(path)) as (url, _):
        headers = {"Authorization": "Bearer simulated-access-token"}
        send = f"/v25.0/{DEFAULT_PHONE_NUMBER_ID}/messages"
        async with aiohttp.ClientSession(url, headers=headers) as session:
            for _ in kinds[:3]:
                with pytest.raises(aiohttp.ClientConnectionError):
                    await session.post(send, json=message())
            async with session.post(send, json=message()) as answer:
                assert answer.status == 200
            async with session.get("/_simulator/report") as answer:
                report = await answer.json()
        assert report["faults"] == dict.fromkeys(kinds, 1)
        assert report["accepted"] == 3


async def test_settings_from_a_file(tmp_path: Path) -> None:
    config = CloudApiConfig(messages_per_s=7, burst_s=1, pair_burst=1)
    path = tmp_path / "config.json"
    path.write_text(config.model_dump_json())
    with _started("--config", str(path), "--rate", "9") as (url, process):
        async with (
            aiohttp.ClientSession(url) as session,
            session.get("/_simulator/report") as answer,
        ):
            (number,) = (await answer.json())["numbers"].values()
        assert (number["limit_per_s"], number["depth"]) == (9, 9)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


def _output(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["cloud-api", *options])
    return result.exit_code, result.output


def test_help() -> None:
    assert CliRunner().invoke(main, ["no-such-command"]).exit_code == 2
    code, output = _output("--help")
    assert code == 0
    assert "--webhook-url" in output


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    code, output = _output("--read-share", "2")
    assert code == 1
    assert "read_share" in output
    path = tmp_path / "config.json"
    path.write_bytes(orjson.dumps({"speed": 1}))
    code, output = _output("--config", str(path))
    assert code == 1
    assert "speed" in output
    path.write_bytes(b"{")
    assert _output("--config", str(path))[0] == 1


def test_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, output = _output("--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "cannot listen" in output
