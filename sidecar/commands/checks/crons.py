"""PHP's crons: whether they run where they are needed, leave alone what is not theirs, and nothing
waits for nobody."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.diagnosis import CronFacts, DiagnosisAnswer, Waiting
from contracts.modes import Capability, Mode, ModesAnswer
from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.commands.checks.modes import vendors_in
from sidecar.format import duration, many

#: A cron that runs every few seconds was seen within this.
SEEN_S = 120.0
#: Rows that wait for longer wait for somebody who does not come, or is too slow.
LATE_S = 60.0


@dataclass(frozen=True, slots=True)
class _Cron:
    """``harm``: what a cron does that is not kept off the sidecar's vendors."""

    capability: Capability
    table: str
    rows: str
    harm: str
    bad: bool


_CRONS = (
    _Cron(
        Capability.CAMPAIGNS,
        "queue",
        "rows of campaigns",
        "it claims rows that the sidecar sends",
        True,
    ),
    _Cron(
        Capability.WEBHOOKS,
        "webhooks",
        "stored webhooks",
        "it processes webhooks that the sidecar takes over",
        False,
    ),
)


def judge_crons(answer: DiagnosisAnswer, modes: ModesAnswer) -> Iterator[Line]:
    facts = {cron.table: cron for cron in answer.crons or []}
    waiting = {"queue": answer.due, "webhooks": answer.pending_webhooks}
    for cron in _CRONS:
        php = vendors_in(modes, cron.capability, Mode.PHP, Mode.SHADOW)
        sidecar = vendors_in(modes, cron.capability, Mode.SIDECAR)
        found = facts.get(cron.table)
        seen_s = _seen_s(found, answer.now)
        if found is None:
            yield ok(f"{cron.capability} cron", "this PHP side has none")
        else:
            yield _kept_off(cron, found, answer.cron_models_missing, len(sidecar))
            yield _runs(cron, seen_s, len(php))
        seen = seen_s is not None and seen_s < SEEN_S
        rows = waiting[cron.table]
        yield _waits_for_php(cron, _oldest_s(rows, php, answer.now), seen)
        yield _waits_for_sidecar(cron, _oldest_s(rows, sidecar, answer.now))


def _seen_s(cron: CronFacts | None, now: int) -> float | None:
    if cron is None or cron.seen_at is None:
        return None
    return max(0, now - cron.seen_at) / 1000


def _oldest_s(rows: list[Waiting], vendors: set[str], now: int) -> float:
    """Return for how long the oldest row of these vendors has waited; 0 where there is none."""
    ages = [(now - row.oldest_at) / 1000 for row in rows if row.vendor_uid in vendors]
    return max(ages, default=0.0)


def _kept_off(cron: _Cron, facts: CronFacts, missing: list[str], sidecar: int) -> Line:
    what = f"{cron.capability} cron and the sidecar's vendors"
    if facts.models:
        return ok(what, f"kept off by {', '.join(facts.models)}")
    named = f" ({', '.join(missing)} does not exist)" if missing else ""
    return (fail if cron.bad and sidecar else warn)(
        what,
        f"config('whatsapp-sidecar.scoped_models.{cron.capability}') names no model of its table"
        f"{named}: {cron.harm}",
        "add the model through which the cron reads its table, or stop the cron"
        if sidecar
        else "add it before the first vendor is moved",
    )


def _runs(cron: _Cron, seen_s: float | None, php: int) -> Line:
    what, needing = f"{cron.capability} cron", many(php, "vendor needs", "vendors need")
    if seen_s is not None and seen_s < SEEN_S:
        needed = f"{needing} it" if php else "no vendor needs it any more"
        return ok(what, f"ran {duration(seen_s)} ago; {needed}")
    when = "PHP has not seen it" if seen_s is None else f"ran {duration(seen_s)} ago"
    if not php:
        return ok(what, f"{when}, and no vendor needs it")
    return warn(
        what,
        f"{when}, and {needing} it",
        "check that it runs; PHP sees it only through a model in scoped_models, on the command "
        "line, and with a persistent cache",
    )


def _waits_for_php(cron: _Cron, oldest_s: float, seen: bool) -> Line:
    what = f"{cron.rows} for PHP"
    if oldest_s < LATE_S:
        return ok(
            what, "none waiting" if not oldest_s else f"the oldest waits for {duration(oldest_s)}"
        )
    text = f"the oldest has waited for {duration(oldest_s)}"
    if seen:
        return warn(
            what, f"{text}: the cron is too slow", "wait until it catches up, or move vendors"
        )
    return fail(what, f"{text}, and no cron was seen", "start PHP's scheduler")


def _waits_for_sidecar(cron: _Cron, oldest_s: float) -> Line:
    what = f"{cron.rows} for the sidecar"
    if oldest_s < LATE_S:
        return ok(
            what, "none waiting" if not oldest_s else f"the oldest waits for {duration(oldest_s)}"
        )
    text = f"the oldest has waited for {duration(oldest_s)}"
    do = "sidecar status says what they wait for"
    # Campaigns have their limits, and may take hours.
    return warn(what, text, do) if cron.bad else fail(what, text, do)
