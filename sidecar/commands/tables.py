"""Tables and progress bars for people: fitted to a terminal, plain where the output is piped."""

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

#: Rows that are laid out together, so that a list of any length begins at once.
CHUNK = 1000
#: Between two columns, and how narrow one may become.
_GAP, _NARROW = 2, 12
#: Columns of these names hold figures.
_FIGURES = frozenset(
    (
        *("SENT", "FAILED", "UNKNOWN", "PER S", "PER SECOND", "COUNT", "TRIES"),
        *("EQUAL", "EXPLAINED", "MISSING", "EXTRA", "DIFFERENT"),
    )
)
#: First words of a cell that call for attention, and how they look in colour.
_STYLES = {"paused": "yellow", "held": "yellow", "cancelled": "red", "PAUSED": "yellow"}


def make_console(*, err: bool = False) -> Console:
    """Return what writes to the standard output, or to the other one. Colours only on a terminal,
    and not if ``NO_COLOR`` is set."""
    return Console(stderr=err, highlight=False)


class TableWriter:
    """A table of which rows come bit by bit. On a terminal they are folded to its width, between
    words, so that an id stays whole; where not even the words fit, each cell is a line. In a pipe
    each row is one. The names of the columns stand above the first row: nothing is printed for
    none. ``count``: how many rows there were."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._console = make_console()
        self._widths = [cell_len(name) for name in names]
        self.count = 0

    def write(self, rows: Iterable[Sequence[str]]) -> None:
        cleaned = [[clean(cell) for cell in row] for row in rows]
        if not cleaned:
            return
        if self._console.is_terminal and (widths := self._fitted(cleaned)):
            self._console.print(self._folded(cleaned, widths))
        else:
            stacked = self._console.is_terminal
            for line in self._stacked(cleaned) if stacked else self._plain(cleaned):
                click.echo(line)
        self.count += len(cleaned)

    def _fitted(self, rows: Sequence[Sequence[str]]) -> list[int] | None:
        """Return how wide each column is on this terminal, None if the words do not fit."""
        columns = list(zip(self._names, *rows, strict=True))
        wide = [max(map(cell_len, cells)) for cells in columns]
        # Figures are not folded.
        least = [
            most if cells[0] in _FIGURES else min(most, max(_NARROW, *map(_longest_word, cells)))
            for most, cells in zip(wide, columns, strict=True)
        ]
        excess = max(0, sum(wide) + _GAP * (len(wide) - 1) - self._console.width)
        spare = [0, *itertools.accumulate(map(operator.sub, wide, least))]
        if excess > spare[-1]:
            return None
        cuts = [excess * sum_ // max(1, spare[-1]) for sum_ in spare]
        return [
            most - (after - before)
            for most, before, after in zip(wide, cuts[:-1], cuts[1:], strict=True)
        ]

    def _folded(self, rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Table:
        head = self.count == 0
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=head)
        for name, width in zip(self._names, widths, strict=True):
            right = name in _FIGURES
            justify: JustifyMethod = "right" if right else "left"
            table.add_column(Text(name), justify=justify, width=width, overflow="fold")
        for row in rows:
            table.add_row(*map(_styled, row))
        return table

    def _stacked(self, rows: Sequence[Sequence[str]]) -> Iterator[str]:
        width = max(map(cell_len, self._names))
        for number, row in enumerate(rows, self.count):
            if number:
                yield ""
            for name, cell in zip(self._names, row, strict=True):
                yield f"{_padded(name, width, right=False)}  {cell}".rstrip()

    def _plain(self, rows: Sequence[Sequence[str]]) -> Iterator[str]:
        for place, column in enumerate(zip(*rows, strict=True)):
            self._widths[place] = max(self._widths[place], *map(cell_len, column))
        for row in rows if self.count else (self._names, *rows):
            cells = zip(row, self._widths, self._names, strict=True)
            yield "  ".join(
                _padded(cell, width, right=name in _FIGURES) for cell, width, name in cells
            ).rstrip()


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Print rows below the names of their columns, and return how many there were."""
    table, left = TableWriter(*names), iter(rows)
    while chunk := list(itertools.islice(left, CHUNK)):
        table.write(chunk)
    return table.count


def clean(text: str) -> str:
    """Return a text as one line, without what would do something to a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _longest_word(cell: str) -> int:
    return max(map(cell_len, cell.split()), default=0)


def _styled(cell: str) -> Text:
    return Text(cell, style=_STYLES.get(cell.partition(" ")[0].rstrip(":,"), ""))


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
