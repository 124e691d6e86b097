from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.outages import watch as module
from simulator.outages.run import wait_until
from simulator.outages.watch import Look, Watch

DOWN = ("cloud-api-down",)


def look(at: float, *codes: str, metric: float | None = 0.0, exit_code: int = 1) -> Look:
    problems = [{"code": code, "what": "number 110", "do": "nothing"} for code in codes]
    answer: dict[str, Any] = {"problems": problems}
    return Look(at, at + 1, exit_code, answer, metric, at + 0.5)


def watched(tmp_path: Path, *looks: Look) -> Watch:
    return Watch(EmbeddedInstallation(tmp_path), list(looks))


def test_when_it_was_named_and_when_it_was_over(tmp_path: Path) -> None:
    watch = watched(
        tmp_path,
        look(10),
        look(20, *DOWN, metric=1),
        look(30, *DOWN, metric=1),
        look(40, "number-held"),
    )
    assert watch.named_at(DOWN, "110", 15) == 21
    assert watch.measured_at(15) == 20.5
    assert watch.over_at(DOWN, "110", 25) == 41
    assert watch.over_at(DOWN, "110", 45) is None


def test_another_number_or_problem_is_not_meant(tmp_path: Path) -> None:
    watch = watched(tmp_path, look(20, "cloud-api-down"))
    assert watch.named_at(DOWN, "111", 15) is None
    assert watch.named_at(("number-held",), "110", 15) is None


def test_what_is_named_must_show_in_the_exit_code(tmp_path: Path) -> None:
    assert watched(tmp_path, look(20, *DOWN, exit_code=0)).named_at(DOWN, "110", 15) is None


def test_a_look_that_fails_is_said_and_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Iterator[Look | Exception] = iter([httpx.ReadTimeout("too slow"), look(20, *DOWN)])

    def next_look(_installation: Installation) -> Look:
        answer = next(answers, look(30))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(module, "look", next_look)
    monkeypatch.setattr(module, "_PAUSE_S", 0.001)
    with watched(tmp_path) as watch:
        wait_until(lambda: len(watch.looks) > 1, lambda: None, 30, "looks")
    assert watch.named_at(DOWN, "110", 15) == 21
    assert "too slow" in capsys.readouterr().err
