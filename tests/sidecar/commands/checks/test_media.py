"""Whether both sides have a folder of media."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from contracts.diagnosis import PhpFacts
from sidecar.commands.checks.line import Level
from sidecar.commands.checks.media import check_media, judge_media
from tests.conftest import MakeSettings


def php(**known: Any) -> PhpFacts:
    facts = {"package": "0.1", "php": "8.2", "signing_key_ids": ["k"], "signing_window_s": 300}
    return PhpFacts.model_validate({**facts, **known})


def test_without_media_nothing_is_said(make_settings: MakeSettings) -> None:
    assert list(check_media(make_settings())) == []
    assert list(judge_media(make_settings(), php())) == []


def test_a_folder_that_can_be_used(make_settings: MakeSettings, tmp_path: Path) -> None:
    [line] = check_media(make_settings(media_dir=tmp_path, media_free_disk_bytes=0))
    assert line.level is Level.OK


def test_a_folder_that_is_not_there(make_settings: MakeSettings, tmp_path: Path) -> None:
    [line] = check_media(make_settings(media_dir=tmp_path / "gone"))
    assert (line.level, line.detail) == (Level.FAIL, "is not there")


def test_a_folder_of_somebody_else(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    [line] = check_media(make_settings(media_dir=tmp_path))
    assert (line.level, line.detail) == (Level.FAIL, "this user may not write to it")


@pytest.mark.parametrize(("free", "level"), [(3000, Level.OK), (2999, Level.FAIL)])
def test_room_for_one_file(
    make_settings: MakeSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    level: Level,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Free(free))
    settings = make_settings(media_dir=tmp_path, media_free_disk_bytes=1000, media_limit_bytes=2000)
    [line] = check_media(settings)
    assert line.level is level


class _Free:
    def __init__(self, free: int) -> None:
        self.free = free


@pytest.mark.parametrize(
    ("here", "known", "level", "says"),
    [
        (False, {"media_dir": "/m"}, Level.FAIL, "PHP asks for media in /m"),
        (True, {}, Level.WARN, "PHP does not ask for media"),
        (True, {"media_dir": "/m", "media_readable": False}, Level.FAIL, "PHP cannot read /m"),
        (True, {"media_dir": "/m"}, Level.OK, "/m for PHP"),
    ],
)
def test_both_sides(
    make_settings: MakeSettings,
    tmp_path: Path,
    here: bool,
    known: dict[str, Any],
    level: Level,
    says: str,
) -> None:
    settings = make_settings(**({"media_dir": tmp_path} if here else {}))
    [line] = judge_media(settings, php(**known))
    assert line.level is level
    assert says in line.detail
