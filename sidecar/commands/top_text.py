"""A frame of ``sidecar top``: rates, lanes, campaigns, numbers and problems."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from contracts.campaigns import CampaignState
from contracts.jobs import Lane
from sidecar.clock import utc_text
from sidecar.commands.tables import clean
from sidecar.format import duration, many, size
from sidecar.ops.campaigns import Campaign
from sidecar.ops.numbers import state_text
from sidecar.ops.problem import Problem, folded, named
from sidecar.ops.rates import Counts, Rate, handover_s, rates
from sidecar.ops.report import Report
from sidecar.sending.numbers import NumberState

#: What is shown of each; ``sidecar status`` and the lists have the others.
MAX_PROBLEMS = 6
MAX_CAMPAIGNS = 8
MAX_NUMBERS = 8

_RATES = {
    Rate.WEBHOOKS: "webhooks",
    Rate.WEBHOOKS_REFUSED: "refused",
    Rate.SENT: "messages",
    Rate.SEND_FAILURES: "not accepted",
    Rate.PHP_FAILURES: "PHP failures",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One look. ``grown`` is what was counted in the ``seconds`` before it; None at the first."""

    report: Report
    problems: list[Problem]
    campaigns: list[Campaign]
    grown: Counts | None
    seconds: float

    @property
    def rates(self) -> dict[str, float] | None:
        """Return what happens per second."""
        if self.grown is None:
            return None
        return {rate.value: value for rate, value in rates(self.grown, self.seconds).items()}


def page(frame: Frame) -> RenderableType:
    """Return a frame as it is shown."""
    return Group(
        _head(frame),
        *_problems(frame.problems),
        Text(),
        _figures(frame),
        Text(),
        _lanes(frame),
        *_campaigns(frame.campaigns),
        *_numbers(frame.report.numbers),
    )


def lost(reason: str) -> RenderableType:
    """Return what is shown while Redis is away."""
    return Group(
        Text("whatsapp-sidecar", style="bold"),
        Text(f"Redis is unavailable: {clean(reason)}", style="bold red"),
        Text("Looking again; Ctrl-C ends it."),
    )


def _head(frame: Frame) -> Text:
    overview, php = frame.report.overview, frame.report.php
    redis = overview.redis
    limit = f" of {size(redis.limit_bytes)}" if redis.limit_bytes else ""
    head = Text("whatsapp-sidecar", style="bold")
    head.append(f"  {utc_text(overview.now)}", style="not bold")
    head.append(f"  {many(len(overview.alive), 'process', 'processes')}", style="not bold")
    head.append(f"  Redis {size(redis.used_bytes)}{limit}", style="not bold")
    if php.error is None:
        head.append("  PHP answers", style="not bold")
    else:
        head.append("  PHP UNAVAILABLE", style="bold red")
    return head


def _problems(found: Sequence[Problem]) -> Iterable[Text]:
    if not found:
        yield Text("All is well.", style="green")
    shown = folded(found)
    for problem, following in shown[:MAX_PROBLEMS]:
        text = Text(f"[{problem.code}] ", style="bold red", no_wrap=True, overflow="ellipsis")
        so = f"; so: {named([one.code for one in following])}" if following else ""
        yield text.append(clean(problem.what) + so, style="not bold default")
    if len(shown) > MAX_PROBLEMS:
        yield Text(f"and {len(shown) - MAX_PROBLEMS} more: sidecar status")


def _figures(frame: Frame) -> Table:
    """Return what happens per second."""
    table = _table(*(f"{name}>" for name in _RATES.values()))
    found = frame.rates
    table.add_row(*("-" if found is None else f"{found[rate]:,.1f}/s" for rate in _RATES))
    return table


def _lanes(frame: Frame) -> Table:
    figures = ("in the inbox>", "oldest>", "retries>", "to PHP p50>", "p95>", "p99>")
    table = _table("lane", *figures, "drained by")
    for lane, state in frame.report.overview.lanes.items():
        table.add_row(
            _cell(lane.value),
            f"{state.webhooks:,}",
            duration(state.oldest_s) if state.webhooks else "-",
            f"{state.deferred:,}",
            *(_handover(frame, lane, share) for share in (0.5, 0.95, 0.99)),
            _cell("-" if state.held_s is None else state.holder or "somebody"),
        )
    return table


def _handover(frame: Frame, lane: Lane, share: float) -> str:
    seconds = None if frame.grown is None else handover_s(frame.grown, lane, share)
    if seconds is None:
        return "-"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else duration(seconds)


def _campaigns(found: Sequence[Campaign]) -> Iterable[RenderableType]:
    shown = [one for one in found if one.state != CampaignState.CANCELLED]
    if not shown:
        return
    table = _table("campaign", "state", "", "sent>", "rate>", "")
    for one in shown[:MAX_CAMPAIGNS]:
        title = one.php.title if one.php and one.php.title else one.uid
        table.add_row(
            _cell(title),
            _state(one.standing),
            ProgressBar(max(one.total, 1), one.sent, width=20),
            f"{one.sent:,} of {one.total:,}",
            f"{one.per_s:.1f}/s",
            _cell(one.reason or ""),
        )
    yield Text()
    yield table
    if len(shown) > MAX_CAMPAIGNS:
        yield Text(f"and {len(shown) - MAX_CAMPAIGNS} more: sidecar campaigns list")


def _numbers(found: Sequence[NumberState]) -> Iterable[RenderableType]:
    if not found:
        return
    table = _table("number", "rate>", "limit>", "")
    for state in found[:MAX_NUMBERS]:
        table.add_row(
            _cell(state.line),
            f"{state.present_rate:.1f}/s",
            f"{state.configured_rate:.1f}/s",
            _cell(state_text(state)),
        )
    yield Text()
    yield table
    if len(found) > MAX_NUMBERS:
        yield Text(f"and {len(found) - MAX_NUMBERS} more: sidecar numbers list")


def _table(*names: str) -> Table:
    """Return a table; columns whose name ends with ``>`` hold figures, which are cut last."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(
            _cell(name.removesuffix(">")),
            justify="right" if name.endswith(">") else "left",
            no_wrap=name.endswith(">"),
            overflow="ellipsis",
        )
    return table


def _cell(text: str) -> Text:
    return Text(clean(text), no_wrap=True, overflow="ellipsis")


def _state(state: str) -> Text:
    return Text(state, style="" if state == CampaignState.RUNNING else "yellow")
