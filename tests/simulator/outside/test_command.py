"""The servers outside as processes of their own."""

import signal
import subprocess
import sys

import httpx
import pytest
from click.testing import CliRunner

from simulator.__main__ import main


@pytest.mark.parametrize("name", ["ai", "vendor-webhook", "pusher"])
def test_it_runs_until_told_to_stop(name: str) -> None:
    command = [sys.executable, "-m", "simulator", name]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            assert httpx.get(f"{line.split()[-1]}/_simulator/report").status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("name", ["ai", "vendor-webhook", "pusher"])
def test_help_says_how_to_control_it(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    assert "_simulator/faults" in done.output


def test_a_delay_that_goes_backwards_is_refused() -> None:
    done = CliRunner().invoke(main, ["ai", "--latency-s", "2", "1"])
    assert done.exit_code == 2
    assert "least" in done.output
