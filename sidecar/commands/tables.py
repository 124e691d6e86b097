"""Tables and progress bars for people: fitted to a terminal, plain where the output is piped."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

#: Rows that are laid out together, so that a list of any length begins at once.
CHUNK = 1000
#: Columns of these names hold figures.
_FIGURES = frozenset({"SENT", "FAILED", "UNKNOWN", "PER S", "PER SECOND", "COUNT", "TRIES"})
#: First words of a cell that call for attention, and how they look in colour.
_STYLES = {"paused": "yellow", "held": "yellow", "cancelled": "red", "PAUSED": "yellow"}


def make_console(*, err: bool = False) -> Console:
    """Return what writes to the standard output, or to the other one. Colours only on a terminal,
    and not if ``NO_COLOR`` is set."""
    return Console(stderr=err, highlight=False)


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Print rows below the names of their columns, and return how many there were; nothing for
    none. On a terminal they are folded to its width; in a pipe each is one line."""
    console, left, count = make_console(), iter(rows), 0
    while chunk := [[clean(cell) for cell in row] for row in itertools.islice(left, CHUNK)]:
        shown = names if not count else None
        if console.is_terminal:
            console.print(_folded(names, chunk, header=shown is not None))
        else:
            for line in _plain(names, chunk, header=shown is not None):
                click.echo(line)
        count += len(chunk)
    return count


def clean(text: str) -> str:
    """Return a text as one line, without what would do something to a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _folded(names: Sequence[str], rows: Sequence[Sequence[str]], *, header: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
    for name in names:
        right = name in _FIGURES
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_styled, row))
    return table


def _styled(cell: str) -> Text:
    return Text(cell, style=_STYLES.get(cell.partition(" ")[0].rstrip(":,"), ""))


def _plain(names: Sequence[str], rows: Sequence[Sequence[str]], *, header: bool) -> Iterator[str]:
    widths = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows) if header else rows:
        yield "  ".join(
            _padded(cell, width, right=name in _FIGURES)
            for cell, width, name in zip(row, widths, names, strict=True)
        ).rstrip()


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar on the other output while the block runs, if that is a terminal. The function that
    it gets takes how many more are done."""
    console = make_console(err=True)
    if not console.is_terminal:
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, advance=done)
