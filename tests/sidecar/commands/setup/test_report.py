"""What is written, and what is said instead: with secrets for their owner, and without for all."""

import stat
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.commands.checks.line import ok
from sidecar.commands.setup import filled
from sidecar.commands.setup.report import Installation, paths, print_json, print_steps
from sidecar.commands.setup.steps import Step
from tests.sidecar.commands.setup.made import SECRET, answers, place

NAMES = ["php.env", "whatsapp.conf", *filled.UNITS]


def installation(out: Path | None) -> Installation:
    return Installation(answers(), place(), out)


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = installation(tmp_path / "out")
    made.write(replace=False)
    assert [path.name for path in made.files()] == NAMES
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.files()}
    assert modes == {name: 0o600 if name == "php.env" else 0o644 for name in NAMES}
    for path in made.files():
        assert (SECRET in path.read_text()) is (path.name == "php.env")
    made.show()
    assert capsys.readouterr().out == ""


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "whatsapp.conf").write_text("theirs")
    with pytest.raises(FileExistsError):
        installation(tmp_path).write(replace=False)
    assert (tmp_path / "whatsapp.conf").read_text() == "theirs"
    installation(tmp_path).write(replace=True)
    assert "theirs" not in (tmp_path / "whatsapp.conf").read_text()


def test_what_is_printed_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    made = installation(None)
    assert made.files() == paths(None) == []
    made.write(replace=False)
    made.show()
    shown = capsys.readouterr().out
    for line in (
        "cat >> /srv/whatsapp/.env <<END",
        "    include sidecar/public.conf;",
        "    server unix:/run/php/php8.3-fpm.sock;",
        "ExecStart=/opt/whatsapp-sidecar/.venv/bin/sidecar serve",
        "ExecStart=/opt/whatsapp-sidecar/.venv/bin/sidecar worker",
    ):
        assert f"\n{line}\n" in shown, line
    assert SECRET not in shown
    assert made.answers.signing_secret not in shown


def test_phps_lines_for_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    Installation(answers(), place(elsewhere=True), None).show()
    shown = capsys.readouterr().out
    assert "; what it prints goes to /srv/whatsapp/.env on PHP's machine:\ncat <<END\n" in shown
    assert ">> /srv" not in shown


def test_without_a_checkout_php_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(filled, "CHECKOUT", tmp_path)
    assert [path.name for path in paths(tmp_path)] == ["php.env"]
    installation(None).show()
    shown = capsys.readouterr()
    assert "cat >> /srv/whatsapp/.env" in shown.out
    assert "ExecStart" not in shown.out
    assert "are in the repository" in shown.err


def test_steps_are_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    print_steps([Step("Do this", ("a b",)), Step("Then that")])
    assert capsys.readouterr().out.splitlines()[3:] == [
        "1. Do this",
        "     a b",
        "",
        "2. Then that",
    ]


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = replace(installation(tmp_path), place=place(config=tmp_path / "sidecar.toml"))
    print_json(made, [ok("redis", "fine")], [Step("Do this", ("a b",))])
    said = orjson.loads(capsys.readouterr().out)
    assert said["config"] == str(tmp_path / "sidecar.toml")
    assert said["files"] == [str(tmp_path / name) for name in NAMES]
    assert [line["what"] for line in said["lines"]] == ["redis"]
    assert said["steps"] == [{"what": "Do this", "commands": ["a b"]}]
