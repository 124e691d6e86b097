"""The command, and what is run of a suite."""

import fcntl
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.matrix import __main__ as command
from tests.matrix import namespace, run
from tests.matrix.__main__ import main
from tests.matrix.run import Run
from tests.matrix.suites import SUITES, machine


def test_the_suites() -> None:
    assert list(SUITES) == ["bookworm", "trixie", "sid"]
    for name, suite in SUITES.items():
        assert suite.name == name
        assert len(set(suite.packages)) == len(suite.packages) > 8
    # The machine's own packages and those of its chroot are the same.
    installed = Path("scripts/install-stack").read_text()
    for package in SUITES["bookworm"].packages:
        assert package.replace("php-", "php8.2-") in installed or package in installed


def test_without_root_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = CliRunner().invoke(main, ["trixie"])
    assert done.exit_code == 1
    assert done.output == (
        "Error: the matrix cannot be run here: it has to mount, which root alone may\n"
    )


def test_without_debootstrap_it_runs_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "refusal", lambda: None)
    monkeypatch.setattr(command, "machine", lambda: "trixie")
    monkeypatch.setenv("PATH", "")
    assert command.refusal(("trixie",)) is None
    reason = "there is no debootstrap: apt-get install debootstrap"
    assert command.refusal(("trixie", "sid")) == reason


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What runs come to, by suite."""
    made: dict[str, list[str]] = {}
    monkeypatch.setattr(command, "refusal", lambda names: None)
    monkeypatch.setattr(command, "run", lambda name, parts, expression: made.get(name, []))
    return made


def row(name: str, failed: int) -> list[str]:
    return [name, "10.48.29", "8.4.1", "MariaDB 11.8", "Redis 8.0", "1.26", "9", str(failed), "0"]


def test_every_suite_is_run_and_all_must_be_green(rows: dict[str, list[str]]) -> None:
    rows |= {name: row(name, 0) for name in SUITES}
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()] == ["suite", *SUITES]
    rows["trixie"] = row("trixie", 1)
    assert CliRunner().invoke(main, []).exit_code == 1
    assert CliRunner().invoke(main, ["sid", "bookworm"]).exit_code == 0


def test_a_suite_that_could_not_be_run_is_a_failure(rows: dict[str, list[str]]) -> None:
    rows["sid"] = row("sid", 0)
    done = CliRunner().invoke(main, ["sid", "trixie"])
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 2


def test_two_runs_of_a_suite_do_not_meet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "CHROOTS", tmp_path)
    monkeypatch.setattr(command, "refusal", lambda names: None)
    monkeypatch.setattr(namespace, "run", lambda command: 0)
    with (tmp_path / "sid.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = CliRunner().invoke(main, ["sid"])
        assert (done.exit_code, done.output) == (1, "Error: another run uses sid\n")
    assert CliRunner().invoke(main, ["sid"]).output == ""


@pytest.mark.parametrize(
    ("part", "expression", "expected"),
    [
        ("contract", None, ["-k", "not embedded"]),
        ("contract", "modes or wamids", ["-k", "not embedded and (modes or wamids)"]),
        ("stack", "modes", ["-k", "(modes)"]),
        ("nginx", None, []),
    ],
)
def test_an_expression_chooses_tests(
    tmp_path: Path, part: str, expression: str | None, expected: list[str]
) -> None:
    words = Run(SUITES[machine() or "sid"], tmp_path, expression)._command(part, tmp_path / "xml")
    assert f"tests/{part}" in words
    assert words[words.index("-k") :] == expected if expected else "-k" not in words


@pytest.mark.parametrize(
    ("code", "expression", "passed", "failed"),
    [("0", None, 1, 0), ("3", None, 1, 1), ("5", "x", 1, 0), ("5", None, 1, 1)],
)
def test_a_part_is_counted(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: str,
    expression: str | None,
    passed: int,
    failed: int,
) -> None:
    monkeypatch.setattr(run, "CHROOTS", tmp_path)
    script = 'echo words; echo "<testsuite><testcase/></testsuite>" >"$0"; exit "$1"'
    monkeypatch.setattr(
        Run, "_command", lambda self, name, report: ["sh", "-c", script, str(report), code]
    )
    found = Run(SUITES["sid"], tmp_path, expression).part("stack")
    assert (found.passed, found.failed) == (passed, failed)
    assert (tmp_path / "sid-stack.log").read_text() == "words\n"
