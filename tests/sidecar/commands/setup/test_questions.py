"""Asking: a wrong answer is asked for again, a secret is not shown, and without a person nothing is
asked."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pytest_httpserver import HTTPServer

from sidecar.commands.checks.line import Line, fail, ok
from sidecar.commands.setup.answers import read_secret
from sidecar.commands.setup.probes import Php
from sidecar.commands.setup.questions import Questions, WrongAnswer, read_file
from tests.sidecar.commands.setup.made import SECRET


def number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("write a number")
    return int(text)


class Talk:
    """What was said, and what came of it."""

    def __init__(self, typed: str, function: Any, *arguments: Any) -> None:
        self.answer: Any = None

        @click.command()
        def command() -> None:
            self.answer = function(*arguments)

        done = CliRunner().invoke(command, input=typed)
        self.said, self.code, self.error = done.stderr, done.exit_code, done.exception
        assert done.stdout == "", "questions are for people"


def test_an_answer_that_is_wrong_is_asked_for_again() -> None:
    talk = Talk("x\n 7 \n", Questions(asks=True).ask, "How many", "--many", None, "3", number)
    assert talk.answer == 7
    assert talk.said.count("How many [3]:") == 2
    assert "write a number" in talk.said


def test_the_default_is_taken_with_enter() -> None:
    assert Talk("\n", Questions(asks=True).ask, "How many", "--many", None, "3", number).answer == 3


@pytest.mark.parametrize("asks", [True, False])
def test_what_was_given_is_not_asked_for(asks: bool) -> None:
    talk = Talk("", Questions(asks=asks).ask, "How many", "--many", "5", "3", number)
    assert (talk.answer, talk.said) == (5, "")


def test_without_a_person_the_default_counts() -> None:
    talk = Talk("7\n", Questions(asks=False).ask, "How many", "--many", None, "3", number)
    assert (talk.answer, talk.said) == (3, "")


@pytest.mark.parametrize("asks", [True, False])
def test_a_wrong_option_ends_it(asks: bool) -> None:
    talk = Talk("7\n", Questions(asks=asks).ask, "How many", "--many", "x", "3", number)
    assert (talk.answer, talk.code) == (None, 2)
    assert talk.said == "Error: --many: write a number\n"


def application(
    asks: bool, typed: str = "", given: str | None = None, elsewhere: bool = False
) -> Talk:
    def ask() -> Path:
        return Questions(asks=asks).application(given, elsewhere=elsewhere)

    return Talk(typed, ask)


@pytest.fixture
def app(tmp_path: Path) -> str:
    (tmp_path / "app" / "public").mkdir(parents=True)
    (tmp_path / "app" / "public" / "index.php").touch()
    return str(tmp_path / "app")


@pytest.mark.parametrize("asks", [True, False])
def test_an_application_that_is_there(app: str, asks: bool) -> None:
    talk = application(asks, given=app)
    assert (talk.answer, talk.said) == (Path(app), "")


def test_an_application_that_is_not_there_is_asked_for_again(app: str) -> None:
    talk = application(True, f"{app}/public\nn\n{app}\n")
    assert talk.answer == Path(app)
    assert f"there is no Laravel application in {app}/public" in talk.said
    assert talk.said.count("Is it on another machine?") == 1
    assert application(True, "/srv/none\ny\n").answer == Path("/srv/none")


@pytest.mark.parametrize("asks", [True, False])
def test_an_application_that_is_named_and_not_there_ends_it(asks: bool) -> None:
    talk = application(asks, given="/srv/none")
    assert (talk.answer, talk.code) == (None, 2)
    assert "; name its folder, or add --app-elsewhere if it is on another machine" in talk.said
    talk = application(asks, given="/srv/none", elsewhere=True)
    assert (talk.answer, talk.said) == (Path("/srv/none"), "")


def test_an_application_that_nobody_has_named() -> None:
    talk = application(False)
    assert talk.answer == Path("/var/www/whatsapp")
    assert talk.said.endswith("; --app names its folder\n")


def secret(asks: bool, typed: str, given: str | None = None) -> Talk:
    ask = Questions(asks=asks).ask_secret
    return Talk(typed, ask, "The secret", "the app secret", given, read_secret)


def test_a_secret_is_asked_for_until_it_is_one_and_never_shown() -> None:
    talk = secret(True, f"no secret\n{SECRET}\n")
    assert talk.answer == SECRET
    assert talk.said.count("The secret (not shown):") == 2
    assert "that is no app secret" in talk.said
    assert SECRET not in talk.said
    assert "no secret\n" not in talk.said


@pytest.mark.parametrize(
    ("asks", "typed", "given", "expected"),
    [
        (True, "\n", None, None),
        (True, "", SECRET, SECRET),
        (False, "", SECRET, SECRET),
        (False, "typed\n", None, None),
    ],
)
def test_a_secret_may_be_none(
    asks: bool, typed: str, given: str | None, expected: str | None
) -> None:
    assert secret(asks, typed, given).answer == expected


def test_a_wrong_secret_is_not_shown_either() -> None:
    talk = secret(False, "", "hush hush hush")
    assert talk.code == 2
    assert "hush" not in talk.said


@pytest.fixture(scope="module")
def running() -> Iterator[HTTPServer]:
    with HTTPServer() as server:
        yield server


@pytest.fixture
def web(running: HTTPServer) -> HTTPServer:
    running.clear()
    return running


def test_php_is_tried(web: HTTPServer) -> None:
    talk = Talk("", Questions(asks=True).php, web.url_for("").rstrip("/"))
    assert talk.answer is Php.OTHER
    assert "WARN  php: " in talk.said


URL = "redis://h:1/0"
NO_PASSWORD = fail("redis", "Authentication required.", "check it")
LOSES = fail("redis appendfsync", "is everysec", "set it to always")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Line]]:
    """What is found at addresses."""
    at: dict[str, list[Line]] = {URL: [ok("redis", "a write")]}

    async def look(url: str) -> Any:
        for line in at[url]:
            yield line

    monkeypatch.setattr("sidecar.commands.setup.probes.probe_redis", look)
    return at


def redis(typed: str, *, asks: bool = True, others: tuple[str | None, ...] = ()) -> Talk:
    answers = iter(others)
    return Talk(typed, Questions(asks=asks).redis, URL, lambda: next(answers))


def test_a_redis_that_does(tried: dict[str, list[Line]]) -> None:
    talk = redis("")
    assert talk.answer == (URL, ())
    assert "OK    redis: a write" in talk.said


def test_the_embedded_one_needs_no_look() -> None:
    assert Talk("", Questions(asks=True).redis, None, lambda: None).answer == (None, ())


def test_a_password_is_asked_for(tried: dict[str, list[Line]]) -> None:
    tried[URL] = [NO_PASSWORD]
    tried["redis://:hu%2Fsh@h:1/0"] = [ok("redis", "a write")]
    talk = redis("hu/sh\n")
    assert talk.answer == ("redis://:hu%2Fsh@h:1/0", ())
    assert "hu/sh" not in talk.said
    assert "hu%2Fsh" not in talk.said


def test_a_wrong_password_is_not_asked_for_for_ever(tried: dict[str, list[Line]]) -> None:
    tried[URL] = [NO_PASSWORD]
    tried["redis://:hush@h:1/0"] = [NO_PASSWORD]
    talk = redis("hush\ny\n")
    assert talk.answer == ("redis://:hush@h:1/0", ("redis: Authentication required.; check it",))


def test_one_that_does_not_may_be_kept(tried: dict[str, list[Line]]) -> None:
    tried[URL] = [LOSES]
    expected = ("redis appendfsync: is everysec; set it to always",)
    assert redis("y\n").answer == (URL, expected)
    assert redis("", asks=False).answer == (URL, expected)


def test_or_another_one_taken(tried: dict[str, list[Line]]) -> None:
    tried[URL] = [LOSES]
    tried["redis://other"] = [ok("redis", "a write")]
    assert redis("n\n", others=("redis://other",)).answer == ("redis://other", ())
    assert redis("n\n", others=(None,)).answer == (None, ())


def test_no_password_is_no_loop(tried: dict[str, list[Line]]) -> None:
    tried[URL] = [NO_PASSWORD]
    assert redis("\ny\n").answer[0] == URL


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    quiet = Talk("", read_file, path)
    assert (quiet.answer, quiet.said) == (SECRET, "")
    path.chmod(0o644)
    assert "can be read by others" in Talk("", read_file, path).said
    assert Talk("", read_file, None).answer is None
    assert Talk(f"{SECRET}\nmore\n", read_file, Path("-")).answer == SECRET


def test_a_secret_that_is_typed_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sidecar.commands.setup.questions.sys",
        SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)),
    )
    talk = Talk(f"{SECRET}\n", read_file, Path("-"))
    assert talk.answer == SECRET
    assert SECRET not in talk.said


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WrongAnswer, match="--app-secret-file: "):
        read_file(path)
