"""The main job from one command, as the README has it."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from contracts.cloud_api.webhook import STATUS_RANK
from simulator.cloud_api.odd.catalogue import kinds
from simulator.comparison import Comparison, is_applied
from simulator.demo_odd import TIMES


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar.commands.main", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_among_odd_payloads(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    result = run_demo("--odd", "--messages", "300", "--json", str(file), "--marketing", "strict")
    assert result.returncode == 0, result.stdout + result.stderr
    figures = json.loads(file.read_text())
    assert figures["messages"] == figures["accepted"] == figures["settled"] == 300
    assert figures["by_marketing_messages_api"] == 300
    assert "by the Marketing Messages API: 300" in result.stdout
    assert figures["sent_twice"] == figures["lost"] == 0
    assert set(figures["odd"]) == {name for name, kind in kinds().items() if kind.random}
    assert {row["uses"] for row in figures["odd"].values()} == {TIMES}
    assert figures["odd"]["user id alone"]["answered"] == TIMES
    assert figures["odd"]["history in messages"]["answered"] == 0
    assert "nothing odd was dropped, doubled, or answered that must not be" in result.stdout


def test_it_stays(tmp_path: Path) -> None:
    """Whoever has read what it prints can look at it in another terminal, and in a browser."""
    arguments = ("demo", "--stay", "--messages", "20", "--rate", "100", "--keep", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar.commands.main", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as demo:
        try:
            assert demo.stdout is not None
            said = ""
            while "The console: " not in said:
                line = demo.stdout.readline()
                assert line, said
                said += line
            [export] = re.findall("export (.*)", said)
            for command in re.findall("\n  (sidecar .*)", said.partition("export")[2]):
                if command == "sidecar top":
                    command += " --once"
                done = subprocess.run(
                    f"env -i {export} {command}",
                    shell=True,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, (command, done.stdout, done.stderr)
            [(url, name, password)] = re.findall(r"console: (\S+) as (\w+), .* (\S+)", said)
            with httpx.Client(follow_redirects=True) as browser:
                signed_in = {"name": name, "password": password}
                page = browser.post(f"{url}sign-in", data=signed_in)
                assert (page.status_code, page.url) == (200, url)
            demo.send_signal(signal.SIGINT)
            assert demo.wait(60) == 0
        finally:
            demo.terminate()


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    result = run_demo("--keep", str(tmp_path))
    assert result.returncode == 1
    assert "is not empty" in result.stderr


COMPLETE = Comparison(
    messages=10,
    accepted=10,
    settled=10,
    statuses_received=30,
    statuses_applied=30,
    replies_received=2,
    replies_applied=2,
    sent_twice=0,
    lost=0,
)


@pytest.mark.parametrize("field", COMPLETE.as_dict())
def test_any_difference_is_an_error(field: str) -> None:
    assert COMPLETE.differences == []
    values = COMPLETE.as_dict()
    values[field] += 1
    assert Comparison(**values).differences


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_a_status_counts_as_applied_in_its_state_or_a_higher_one(status: str) -> None:
    assert not is_applied(status, None)
    assert not is_applied(status, "accepted")
    for state in ("sent", "delivered", "read"):
        assert is_applied(status, state) is (STATUS_RANK[state] >= STATUS_RANK[status])
