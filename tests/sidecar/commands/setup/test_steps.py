"""What is left is named in the order in which it is done, and nothing that is done."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.commands.setup import filled
from sidecar.commands.setup.probes import Php
from sidecar.commands.setup.steps import Found, missing
from tests.sidecar.commands.setup.made import answers, place

OUT = Path("/root/install")
LAST = ["Check that everything works", "Move a vendor to the sidecar"]


def steps(out: Path | None = OUT, told: dict[str, Any] | None = None, **found: Any) -> list[str]:
    """Return what each step is about, up to a colon or a semicolon."""
    nothing: dict[str, Any] = {
        "php": Php.NOTHING,
        "signed": False,
        "redis_failed": (),
        "serves": False,
    }
    looked = Found(**{**nothing, **found})
    left = missing(answers(**(told or {})), place(), out, looked)
    return [step.what.partition(";")[0].partition(":")[0] for step in left]


def commands(out: Path | None = OUT, here: dict[str, Any] | None = None, **told: Any) -> str:
    found = Found(Php.NOTHING, False, (), False)
    left = missing(answers(**told), place(**(here or {})), out, found)
    return "\n".join(command for step in left for command in step.commands)


def test_everything_is_left() -> None:
    failed = ("redis appendfsync: is everysec; set it to always",)
    assert steps(redis_failed=failed) == ["Redis", "PHP", "PHP", "nginx", "Services", *LAST]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, ["PHP", "PHP", "nginx", "Services"]),
        ({"php": Php.OTHER}, ["PHP", "PHP", "Services"]),
        ({"php": Php.PACKAGE}, ["PHP", "Services"]),
        ({"php": Php.PACKAGE, "signed": True}, ["Services"]),
        ({"php": Php.PACKAGE, "signed": True, "serves": True}, []),
    ],
)
def test_what_is_done_is_not_named(found: dict[str, Any], expected: list[str]) -> None:
    assert steps(**found) == [*expected, *LAST]


def test_commands_name_the_files() -> None:
    said = commands()
    assert "cat /root/install/php.env >> /srv/whatsapp/.env" in said
    assert "cp /root/install/whatsapp.conf /etc/nginx/conf.d/" in said
    assert "cp /root/install/*.service /etc/systemd/system/" in said
    assert "/root/install" not in commands(out=None)
    assert "chown" not in said
    assert "chown" not in commands(redis_url=None), "systemd does that"
    said = commands(redis_url=None, data_dir=Path("/srv/data"))
    assert "chown -R whatsapp-sidecar: /srv/data" in said


def test_commands_may_be_typed_anywhere() -> None:
    said = commands()
    assert f"cp -r {filled.CHECKOUT}/nginx/sidecar /etc/nginx/" in said
    assert f"cp -r {filled.CHECKOUT}/contracts/laravel /srv/whatsapp/packages/" in said
    assert f"mysql DATABASE < {filled.CHECKOUT}/contracts/sql/indexes.sql" in said


def test_an_application_on_another_machine() -> None:
    found = Found(Php.NOTHING, False, (), False)
    package, env, *others = missing(answers(), place(elsewhere=True), OUT, found)
    assert package.what.startswith("PHP, on its own machine, with these files there: install")
    assert env.what.startswith("PHP, on its own machine, with these files there: add")
    assert not any("own machine" in step.what for step in others)


def test_tls_is_named_where_it_is_needed() -> None:
    found = Found(Php.NOTHING, False, (), False)
    for url, named in (("https://h", True), ("http://h", False), (None, False)):
        left = missing(answers(public_url=url), place(), OUT, found)
        assert any("tls.conf" in step.what for step in left) is named


def test_a_program_that_the_service_cannot_read() -> None:
    here = {"program": Path("/root/wa/.venv/bin/sidecar")}
    found = Found(Php.PACKAGE, True, (), False)
    [step, *_] = missing(answers(), place(**here), OUT, found)
    assert "below /root, where whatsapp-sidecar cannot read it" in step.what
