"""Clocks: signed calls are refused if they are too far apart."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.diagnosis import PhpFacts
from sidecar.commands.checks.line import Line, fail, ok, warn


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody's clock (unix ms), which was read between two moments of ours."""

    whose: str
    theirs: int
    asked: int
    answered: int

    @property
    def difference_s(self) -> float:
        """How far it is ahead of ours."""
        return (self.theirs - (self.asked + self.answered) / 2) / 1000

    @property
    def uncertainty_s(self) -> float:
        return (self.answered - self.asked) / 2000


#: Clocks of several machines may be as far apart.
_ROWS_AHEAD_S = 300


def judge_time_zone(php: PhpFacts) -> Iterator[Line]:
    """Whether times in the tables are of the zone that PHP takes them to be of, if it says so."""
    if php.timezone is None:
        return
    what = "time zone of the tables"
    if php.rows_ahead_s > _ROWS_AHEAD_S:
        yield fail(
            what,
            f"PHP takes their times for {php.timezone}, by which the newest rows are "
            f"{php.rows_ahead_s // 60} minutes in the future: messages are sent too early or too "
            "late",
            "set WHATSAPP_SIDECAR_TIMEZONE to the zone that the application stores, such as UTC",
        )
    else:
        yield ok(what, php.timezone)


def judge_clock(reading: Reading, window_s: int) -> Line:
    """``window_s``: the smaller of both sides' settings."""
    what = f"clock of {reading.whose}"
    by = reading.difference_s
    certain = max(0.0, abs(by) - reading.uncertainty_s)
    text = (
        f"{abs(by):.2f} s {'ahead of' if by > 0 else 'behind'} ours, give or take "
        f"{reading.uncertainty_s:.2f} s; signed calls allow {window_s} s"
    )
    do = "synchronise both clocks with NTP (timedatectl)"
    if certain > window_s:
        return fail(what, text, do)
    if certain > min(5.0, window_s / 10):
        return warn(what, text, do)
    return ok(what, text)
