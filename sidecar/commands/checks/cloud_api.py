"""The Cloud API: whether this machine reaches it, and whether vendors' numbers can send. Nothing is
sent: Meta is asked about each number with the vendor's own access token."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

from contracts import backend as contract
from contracts.modes import Mode, ModesAnswer, ModesRequest
from sidecar.commands.checks.cloud_api_call import CloudApiCalls, Finding
from sidecar.commands.checks.line import Level, Line, fail, ok, warn
from sidecar.format import duration, many
from sidecar.php.client import Backend, BackendError
from sidecar.settings import Settings

WHAT = "cloud api"
NUMBERS = "cloud api numbers"

#: Numbers that Meta is asked about at once, and for so long altogether; the second one with --deep.
AT_ONCE = 16
BRIEF_S = 7.0
DEEP_S = 120.0
#: An answer that takes longer is a fault.
SLOW_S = 3.0
#: Numbers that are asked about before the others: if none of them is answered, nobody is.
FIRST = 3
#: Numbers that a line names; --json names all.
MAX_NAMED = 5
#: Most vendors in one request (``VendorConfigRequest``).
_BATCH = 1000
#: A number that does not exist, to ask about where none is known.
_NOBODY = "0"


@dataclass(frozen=True, slots=True)
class Number:
    """``sends``: the sidecar sends for the vendor, so what is wrong is in its way now."""

    vendor_uid: str
    id: str
    token: str
    sends: bool

    def __str__(self) -> str:
        return f"{self.id} of vendor {self.vendor_uid}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is to be asked about, and the vendors for whom nothing can be sent, by the reason."""

    known: list[Number]
    lacking: dict[str, list[str]]


async def check_cloud_api(
    settings: Settings, backend: Backend | None, *, vendor_uid: str | None, deep: bool
) -> AsyncIterator[Line]:
    """Look at the numbers of vendors for whom the sidecar sends; with ``deep`` of all, and with
    ``vendor_uid`` of this one. ``backend`` is None where PHP is known not to answer: then the Cloud
    API is asked without a token."""
    numbers, why = Numbers([], {}), "PHP does not answer"
    if backend is not None:
        try:
            numbers, why = await _find(backend, vendor_uid, deep=deep), "no vendor has one"
        except BackendError as error:
            yield fail("vendors", str(error), "update the Laravel package, or check PHP's log")
    async with CloudApiCalls(settings.cloud_api_url, settings.cloud_api_version) as calls:
        findings, found = await _try(calls, numbers.known[:FIRST])
        yield _reached(settings, found)
        if found.everybody and found.level is Level.FAIL:
            return
        for line in _lacking(numbers.lacking, asked=vendor_uid is not None):
            yield line
        if not numbers.known:
            if not numbers.lacking:
                yield warn(NUMBERS, f"no number was tried: {why}")
            return
        await _ask(calls, numbers.known[FIRST:], findings, DEEP_S if deep else BRIEF_S)
    for line in judge_numbers(findings, len(numbers.known), deep=deep):
        yield line


async def _try(
    calls: CloudApiCalls, numbers: list[Number]
) -> tuple[dict[Number, Finding], Finding]:
    """Ask about a few. Return what was found of each, and what shows best how the API itself is:
    it may fail for one number alone."""
    if not numbers:
        return {}, await calls.ask(_NOBODY, None)
    found = await asyncio.gather(*(calls.ask(one.id, one.token) for one in numbers))
    best = min(found, key=lambda one: (one.everybody and one.level is Level.FAIL, one.took_s))
    return dict(zip(numbers, found, strict=True)), best


async def _find(backend: Backend, vendor_uid: str | None, *, deep: bool) -> Numbers:
    """Return the numbers of the vendors that are to be looked at. Those for whom the sidecar sends
    come first."""
    answer = await backend.call(contract.MODES, ModesRequest(), ModesAnswer)
    sending = {
        vendor.vendor_uid
        for vendor in answer.vendors
        if {vendor.modes.webhooks, vendor.modes.campaigns} & {Mode.SIDECAR, Mode.HELD}
    }
    uids = [vendor.vendor_uid for vendor in answer.vendors]
    uids = [uid for uid in uids if uid in sending] + [
        uid for uid in uids if deep and uid not in sending
    ]
    if vendor_uid is not None:
        uids, sending = [vendor_uid], {vendor_uid}
    numbers = Numbers([], {})
    for start in range(0, len(uids), _BATCH):
        request = contract.VendorConfigRequest(vendor_uids=uids[start : start + _BATCH])
        found = await backend.call(
            contract.VENDOR_CONFIG, request, contract.VendorConfigAnswer, timeout_s=10.0
        )
        by_uid = {config.vendor_uid: config for config in found.vendors}
        for uid in request.vendor_uids:
            _add(numbers, uid, by_uid.get(uid), sends=uid in sending)
    return numbers


def _add(numbers: Numbers, uid: str, config: contract.VendorConfig | None, *, sends: bool) -> None:
    if config is None:
        numbers.lacking.setdefault("PHP knows no such vendor", []).append(uid)
        return
    if not config.active:
        numbers.lacking.setdefault("inactive in PHP", []).append(uid)
        return
    ids = [config.current_phone_number_id, *(one.phone_number_id for one in config.phone_numbers)]
    known = list(dict.fromkeys(id_ for id_ in ids if id_))
    if not config.access_token or not known:
        lacks = "number" if config.access_token else "access token"
        numbers.lacking.setdefault(f"no {lacks} in PHP", []).append(uid)
        return
    numbers.known.extend(Number(uid, id_, config.access_token, sends) for id_ in known)


def _reached(settings: Settings, found: Finding) -> Line:
    where = f"{settings.cloud_api_url}/{settings.cloud_api_version}"
    if found.everybody:
        return Line(found.level, WHAT, f"{where}: {found.detail}", found.do)
    if found.took_s >= SLOW_S:
        return fail(
            WHAT,
            f"{where} takes {found.took_s:.1f} s to answer",
            "see Meta's status page, and what stands between: proxy, firewall, the line; campaigns "
            "go on more slowly",
        )
    return ok(WHAT, f"{where} answers in {1000 * found.took_s:.0f} ms")


def _lacking(lacking: dict[str, list[str]], *, asked: bool) -> Iterator[Line]:
    """A vendor that has no number yet is nothing unusual, unless somebody asks about this one."""
    for reason, uids in lacking.items():
        what = f"vendor {uids[0]}" if len(uids) == 1 else f"{len(uids):,} vendors"
        detail = f"{reason}, so nothing is sent for {'it' if len(uids) == 1 else 'them'}"
        if len(uids) > 1:
            detail += f": {_named(uids)}"
        level = Level.FAIL if asked else Level.OK if reason.startswith("inactive") else Level.WARN
        yield Line(level, what, detail, None, tuple(uids))


async def _ask(
    calls: CloudApiCalls, numbers: list[Number], findings: dict[Number, Finding], within_s: float
) -> None:
    """Ask about numbers, a few at a time, until the time is over."""
    left = iter(numbers)

    async def ask() -> None:
        for number in left:
            if any(found.enough for found in findings.values()):
                return
            findings[number] = await calls.ask(number.id, number.token)

    tasks = [asyncio.create_task(ask()) for _ in range(min(AT_ONCE, len(numbers)))]
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=within_s)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def judge_numbers(findings: dict[Number, Finding], asked: int, *, deep: bool) -> Iterator[Line]:
    """Return a line for each trouble, with all numbers that have it, and one for those that have
    none. ``asked``: how many were to be tried."""
    groups: dict[tuple[Level, str, str | None], list[Number]] = defaultdict(list)
    for number, found in findings.items():
        level = found.level
        if found.everybody and level is Level.WARN:
            level = Level.OK  # said of the Cloud API as a whole
        if level is Level.FAIL and not number.sends:
            level = Level.WARN
        groups[level, "" if level is Level.OK else found.detail, found.do].append(number)
    well = [one for key, group in groups.items() if key[0] is Level.OK for one in group]
    troubled = [(key, group) for key, group in groups.items() if key[0] is not Level.OK]
    if well:
        yield ok(NUMBERS, f"{_counted(well)} {'answers' if len(well) == 1 else 'answer'}")
    said = Counter[str]()
    for key, group in sorted(troubled, key=lambda one: (one[0][0] is not Level.FAIL, -len(one[1]))):
        line = _trouble(*key, group)
        said[line.what] += 1
        again = f" ({said[line.what]})" if said[line.what] > 1 else ""
        yield replace(line, what=line.what + again)
    if left := asked - len(findings):
        why = f"within {duration(DEEP_S if deep else BRIEF_S)}"
        if any(found.enough for found in findings.values()):
            why = "because Meta's limit of calls is reached"
        yield warn(
            NUMBERS + ", not tried",
            f"{left:,} of {asked:,} {why}",
            "--vendor UID tries one vendor's; --deep takes longer, and tries more",
        )


def _trouble(level: Level, detail: str, do: str | None, numbers: list[Number]) -> Line:
    if len(numbers) == 1:
        return Line(level, f"number {numbers[0]}", detail, do)
    names = tuple(map(str, numbers))
    return Line(level, _counted(numbers), f"{detail}: {_named(names)}", do, names)


def _counted(numbers: list[Number]) -> str:
    vendors = len({number.vendor_uid for number in numbers})
    return f"{many(len(numbers), 'number')} of {many(vendors, 'vendor')}"


def _named(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
