"""Tables and progress bars: fitted to a terminal, plain in a pipe."""

import pytest
from rich.cells import cell_len

from sidecar.commands import tables
from sidecar.commands.tables import TableWriter, clean, print_table, progress

NAMES = ("CAMPAIGN", "SENT", "TITLE")
ROWS = [("c-1", "5 of 10", "Spring"), ("campaign-22", "1,000", "Ünï 日本 " + "long " * 20)]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 40 columns, as rich sees it."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "40"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_in_a_pipe_each_is_one_aligned_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(NAMES, ROWS) == 2
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == "CAMPAIGN        SENT  TITLE"
    assert first == "c-1          5 of 10  Spring"
    assert second.startswith("campaign-22    1,000  Ünï 日本 long ")
    assert not second.endswith(" ")


def test_on_a_terminal_nothing_is_wider_than_it_and_nothing_is_lost(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_table(NAMES, [*ROWS, ("c-3", "-", "paused: why")]) == 3
    out = capsys.readouterr().out
    plain = _without_colours(out)
    assert max(map(cell_len, plain.splitlines())) <= 40
    assert plain.count("long") == 20
    assert "\x1b[1m" in out, "the head is bold"
    assert "\x1b[33m" in out, "what is paused has a colour"


UID = "0123abcd-89ab-4def-8123-456789abcdef"


@pytest.mark.parametrize("columns", [48, 60, 80, 100, 200])
def test_an_id_stays_whole(
    terminal: None,
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    why = "the Cloud API has refused it for the reason that " * 3
    print_table(
        ("MESSAGE", "CAMPAIGN", "TRIES", "WHY"), [(UID, UID, "12", why), (UID, "", "1", "")]
    )
    lines = _without_colours(capsys.readouterr().out).splitlines()
    assert sum(line.count(UID) for line in lines) == 3
    assert " ".join(lines).count("refused") == 3
    if columns >= 100:
        assert max(map(cell_len, lines)) <= columns
        assert lines[0].split() == ["MESSAGE", "CAMPAIGN", "TRIES", "WHY"]
    if columns == 48:
        assert lines[:3] == [f"MESSAGE   {UID}", f"CAMPAIGN  {UID}", "TRIES     12"]
        assert lines[4:] == ["", f"MESSAGE   {UID}", "CAMPAIGN", "TRIES     1", "WHY"]


def test_no_color(
    terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(NAMES, [("c-3", "-", "paused: why")])
    assert "\x1b[33m" not in capsys.readouterr().out


def test_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(NAMES, []) == 0
    TableWriter(*NAMES).write([])
    assert capsys.readouterr().out == ""


def test_a_long_list_begins_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "CHUNK", 2)
    read = []

    def rows() -> object:
        for number in range(5):
            if number == 4:
                read.append(capsys.readouterr().out)
            yield (str(number), "", "")

    assert print_table(NAMES, rows()) == 5  # type: ignore[arg-type]
    assert read[0].splitlines()[1:] == ["0", "1", "2", "3"]
    assert capsys.readouterr().out.splitlines() == ["4"]


def test_a_long_list_has_one_head_on_a_terminal(
    terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "CHUNK", 1)
    print_table(NAMES, ROWS)
    assert capsys.readouterr().out.count("CAMPAIGN") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb\tc", "a b c"), ("\x1b[2Jgone\x07", " [2Jgone "), ("‮evil", " evil"), ("é日", "é日")],
)
def test_what_does_something_to_a_terminal_is_taken_out(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_markup_is_text(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(NAMES, [("[bold]c[/bold]", "1", ":smile:")])
    out = _without_colours(capsys.readouterr().out)
    assert "[bold]c[/bold]" in out
    assert ":smile:" in out


def test_a_bar_on_a_terminal(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("replaying", 3) as done:
        done(2)
        done(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "replaying" in err
    assert "3/3" in err


def test_no_bar_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("replaying", 3) as done:
        done(2)
    assert capsys.readouterr() == ("", "")


def _without_colours(text: str) -> str:
    return "".join(part.partition("m")[2] for part in f"m{text}".split("\x1b["))
