"""The first page: what is wrong, and how everything is doing."""

import re
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from contracts.jobs import Lane
from sidecar.console import filters
from sidecar.console.charts import Chart, make_chart
from sidecar.console.console import Console
from sidecar.console.figures import PERCENTILES, FigureReader
from sidecar.console.live import Shared, live
from sidecar.console.page import looks, part, render
from sidecar.console.sessions import User
from sidecar.console.templates import page_names
from sidecar.ops.history import INBOX, INBOX_AGE, History, Past, Point, handover
from sidecar.ops.problem import Code, Problem, folded
from sidecar.ops.problems import problems
from sidecar.ops.rates import Rate
from sidecar.ops.reach import read_reached
from sidecar.ops.report import Report, read_report

#: How often figures are read while somebody looks; and what is wrong, of which PHP is asked too.
FIGURES_S = 2.0
PROBLEMS_S = 5.0
#: How often what is reached from here is tried.
REACHED_S = 30.0
#: Problems that are shown. There may be one of each vendor, and making a page of them all holds up
#: webhooks.
MAX_PROBLEMS = 100
#: The history gets a point a minute.
HISTORY_S = 10.0

#: The page that helps with a problem, if it is not this one.
HELP = {
    "dead-letters": (
        Code.DEAD_LETTERS,
        Code.DEAD_LETTERS_NEARLY_FULL,
        Code.DEAD_LETTERS_DELETED,
    ),
    "unknown": (Code.UNKNOWN_MESSAGES, Code.ROWS_UNKNOWN),
    "inbox": (
        Code.MESSAGE_WAITS,
        Code.WEBHOOKS_LATE,
        Code.RETRIES_OVERDUE,
        Code.UPDATES_REFUSED,
        Code.CRASH_LOOP,
        Code.MESSAGES_IGNORED,
        Code.VENDOR_ISOLATED,
        Code.PHP_BREAKER_OPEN,
    ),
    "campaigns": (
        Code.CAMPAIGN_PAUSED,
        Code.CAMPAIGN_WAITS,
        Code.CAMPAIGN_STUCK,
        Code.ROWS_FAILING,
    ),
    "numbers": (
        Code.NUMBER_HELD,
        Code.SENDING_PAUSED,
        Code.CLOUD_API_DOWN,
        Code.CLOUD_API_SLOW,
    ),
    "vendors": (Code.CAMPAIGNS_HELD,),
    "processes": (
        Code.SERVE_NOT_RUNNING,
        Code.WORKER_NOT_RUNNING,
        Code.PROCESS_SILENT,
        Code.CLOCKS_DIFFER,
    ),
    "accounting": (Code.ACCOUNTING_UNBALANCED,),
}
#: A problem, the page that helps, and what follows from it.
Shown = tuple[Problem, str, list[Problem]]

_PAGE_OF = {code: page for page, codes in HELP.items() for code in codes}

#: Parts of what ``sidecar status`` prints, to which problems refer.
_BELOW = re.compile(r"\b(CAMPAIGNS|NUMBERS) below")


def routes(console: Console) -> list[BaseRoute]:
    page = _Overview(console)
    return [
        Route("/", looks(page.show), methods=["GET"]),
        Route("/overview/live", looks(page.live), methods=["GET"]),
    ]


class _Overview:
    def __init__(self, console: Console) -> None:
        self._console = console
        redis = console.redis
        reached = partial(read_reached, console.settings, console.redis_url)
        self._reached = Shared(reached, REACHED_S)
        self._wrong = Shared(self._read_wrong, PROBLEMS_S)
        self._figures = Shared(FigureReader(redis).read, FIGURES_S / 2)
        self._history = Shared(History(redis).read, HISTORY_S)

    async def show(self, request: Request, user: User) -> Response:
        span = _span(request)
        report, found = await self._wrong.get()
        return render(
            request,
            user,
            "overview.html",
            span=span,
            report=report,
            problems=found[:MAX_PROBLEMS],
            total=len(found),
            figures=await self._figures.get(),
            charts=charts(await self._history.get(), span),
        )

    async def live(self, request: Request, user: User) -> Response:
        span = _span(request)

        async def fragments() -> dict[str, str]:
            report, found = await self._wrong.latest()
            figures = await self._figures.get()
            drawn = charts(await self._history.get(), span)
            make = partial(part, "overview_parts.html")
            return {
                "problems": make("problems", problems=found[:MAX_PROBLEMS], total=len(found)),
                "figures": make("figures", figures=figures, report=report),
                "effects": make("effects", effects=report.effects),
                "charts": make("charts", charts=drawn),
            }

        return live(request, user, FIGURES_S, fragments)

    async def _read_wrong(self) -> tuple[Report, list[Shown]]:
        report = await read_report(self._console.redis, self._console.backend)
        report = replace(report, reached=await self._reached.get())
        return report, [
            (_on_pages(problem), _page_of(problem), following)
            for problem, following in folded(problems(report, self._console.settings))
        ]


def charts(past: dict[str, Past], span: str) -> list[Chart]:
    """Return the charts of the last hour or day."""

    def points(name: str) -> list[Point]:
        return past[name].day if span == "day" else past[name].hour

    return [
        make_chart("Webhooks", {"taken": points(Rate.WEBHOOKS)}, filters.rate),
        make_chart("Messages", {"sent": points(Rate.SENT)}, filters.rate),
        make_chart("Webhooks that wait", {"inbox": points(INBOX)}, filters.count),
        make_chart("The oldest waits for", {"inbox": points(INBOX_AGE)}, filters.seconds),
        *(
            make_chart(
                f"Receipt to PHP, {lane}",
                {name: points(handover(lane, name)) for name in PERCENTILES},
                filters.seconds,
            )
            for lane in Lane
        ),
        make_chart(
            "Errors",
            {
                "webhooks refused": points(Rate.WEBHOOKS_REFUSED),
                "PHP": points(Rate.PHP_FAILURES),
                "Cloud API": points(Rate.SEND_FAILURES),
            },
            filters.rate,
        ),
    ]


def _span(request: Request) -> str:
    return "day" if request.query_params.get("span") == "day" else "hour"


def _page_of(problem: Problem) -> str:
    page = _PAGE_OF.get(problem.code, "")
    return page if page.replace("-", "_") in page_names() else ""


def _on_pages(problem: Problem) -> Problem:
    """Have a problem refer to pages."""
    do = _BELOW.sub(lambda found: f"the page {found[1].capitalize()}", problem.do)
    return replace(problem, do=do)
