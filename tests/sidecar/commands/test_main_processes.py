"""Commands as the processes that they are: exit codes, what goes where, and being broken off."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import trust
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign
from tests.sidecar.commands.campaign_rows import TABLE, state, statuses

pytestmark = pytest.mark.usefixtures("own_environment")

Started = subprocess.Popen[str]


@pytest.fixture
def environment(embedded_php: EmbeddedBackend, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "SIDECAR_BACKEND_URL": embedded_php.base_url,
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
        "SIDECAR_REDIS_URL": redis_url,
        "SIDECAR_DATA_DIR": str(tmp_path / "var"),
    }


@pytest.fixture
def start(environment: Mapping[str, str]) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def start(*arguments: str, **more: str) -> Started:
        process = subprocess.Popen(
            [sys.executable, "-m", "sidecar.commands.main", *arguments],
            env={**environment, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_exit_codes(start: Callable[..., Started], campaign: Campaign) -> None:
    """What is for scripts goes to the standard output, everything else to the other one."""
    away = {"SIDECAR_REDIS_URL": "redis://127.0.0.1:9/0"}
    cases: list[tuple[tuple[str, ...], dict[str, str], int, str, str]] = [
        (("campaigns", "list"), {}, 0, campaign.uid, ""),
        (("campaigns", "list"), away, 1, campaign.uid, "Redis is unavailable"),
        (("campaigns", "pause", "nothing"), {}, 1, "", "PHP knows no campaign nothing"),
        (("unknown", "resend"), {}, 2, "", "--campaign UID"),
        (("numbers", "lift", "--all"), {"SIDECAR_PORT": "x"}, 2, "", "setting port"),
    ]
    started = [start(*arguments, **more) for arguments, more, *_ in cases]
    for process, (_, _, code, out, errors) in zip(started, cases, strict=True):
        output, said = process.communicate(timeout=60)
        assert process.returncode == code, said
        assert out in output
        assert errors in said
        assert bool(errors) == bool(said)
        assert "Traceback" not in said


def test_nobody_answers_the_question(
    start: Callable[..., Started], embedded_php: EmbeddedBackend, campaign: Campaign
) -> None:
    """As when a script runs it: nothing is done."""
    process = start("unknown", "resend", "--campaign", campaign.uid)
    output, said = process.communicate("", timeout=60)
    assert (process.returncode, output) == (1, "")
    assert said.endswith("nobody is there to answer: --yes asks nothing\n")
    assert statuses(embedded_php, campaign) == [2, 2, 6, 1, 1]


def test_broken_off_at_the_question(
    start: Callable[..., Started], embedded_php: EmbeddedBackend, campaign: Campaign
) -> None:
    process = start("campaigns", "cancel", campaign.uid)
    assert process.stderr is not None
    assert process.stderr.read(6) == "Cancel"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in said
    assert state(embedded_php, campaign)[0] == "running"


def test_a_reader_who_has_seen_enough(
    start: Callable[..., Started], embedded_php: EmbeddedBackend, campaign: Campaign
) -> None:
    embedded_php.change(TABLE, {"status": 6}, campaigns__id=campaign.id)
    process = start("unknown", "list", "--json")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("{")
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait(timeout=60)
