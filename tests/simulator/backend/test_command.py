"""The backend as a process: it says where it listens, and stops when it is asked to."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from simulator.backend.command import command
from simulator.backend.sqlite_tables import SqliteTables


@contextmanager
def _running(*arguments: str, temporary: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from simulator.backend.command import command; command()"),
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(temporary), "PATH": ""},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), process.communicate()
        yield process, line.removeprefix("listening on ").strip()
    finally:
        process.kill()
        process.communicate()


def test_it_listens_and_stops(tmp_path: Path) -> None:
    with _running(temporary=tmp_path) as (process, url):
        assert httpx.get(f"{url}/_simulator/report", timeout=10).status_code == 200
        assert list(tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
        assert process.returncode == 0
        assert "signing key simulator:" in errors
        assert list(tmp_path.iterdir()) == []


def test_a_hanging_call_does_not_keep_it(tmp_path: Path) -> None:
    with _running("--key=a:bcd", temporary=tmp_path) as (process, url):
        httpx.post(f"{url}/_simulator/faults", json={"kind": "hang"}).raise_for_status()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/internal/due-campaigns", content=b"{}", timeout=0.3)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 0


def test_a_ready_made_installation(tmp_path: Path) -> None:
    database = tmp_path / "backend.sqlite3"
    arguments = [f"--database={database}", "--seed-vendors=2", "--seed-messages=5", "--key=a:bcd"]
    for _ in range(2):
        with _running(*arguments, temporary=tmp_path) as (process, _url):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
        counts = SqliteTables(database).counts()
        assert (counts.queue, counts.contacts) == ({1: 10}, 10)


@pytest.mark.parametrize("key", ["nocolon", ":secret", "id:"])
def test_a_key_that_is_none(key: str) -> None:
    result = CliRunner().invoke(command, ["--key", key])
    assert result.exit_code == 2
    assert "ID:SECRET" in result.output


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with _running(temporary=tmp_path) as (_process, url):
        port = url.rpartition(":")[2]
        result = CliRunner().invoke(command, ["--port", port])
        assert result.exit_code == 1
        assert f"cannot listen on 127.0.0.1:{port}" in result.output
