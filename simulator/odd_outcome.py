"""What became of odd payloads (:mod:`simulator.cloud_api.odd`), against what it should be."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from contracts.cloud_api.people import number_forms
from simulator.backend.wamids import stored
from simulator.vendor_webhook.facts import facts_of

#: Of a free-form message to somebody who has not written for 24 hours.
_WINDOW_CLOSED = "131047"


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """A customer's message in the log."""

    wamid: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class OddEvidence:
    """``uses``, ``messages`` and ``mishaps`` are the Cloud API's lines, ``contacts`` rows with
    their ``user_id``, ``dead`` letters as JSON, ``told`` the bodies that the vendor's webhook was
    told; None where it has none. ``ignored`` counts by reason."""

    uses: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    mishaps: list[dict[str, Any]]
    log: list[LoggedMessage]
    contacts: list[dict[str, Any]]
    dead: list[str]
    told: list[bytes] | None = None
    ignored: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class OddRow:
    """What there is of one kind."""

    uses: int = 0
    sent: int = 0
    stored: int = 0
    answered: int = 0
    dead: int = 0
    forwarded: int = 0
    ignored: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        counts = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**counts, "ignored": dict(self.ignored)}


@dataclass(frozen=True, slots=True)
class OddProblem:
    """``promise``: lost, twice or wrongly_answered, or what else differs. ``mark`` is found in all
    that is known of it."""

    promise: str
    kind: str
    mark: str
    what: str


class OddOutcome:
    """With ``exact`` everything that is expected must be there; otherwise a message may have been
    dropped by faults where that is within the promises: an answer that the Cloud API refused, say,
    or a duplicate of a dead letter."""

    def __init__(self, evidence: OddEvidence, *, exact: bool = True) -> None:
        self._evidence = evidence
        self._exact = exact
        self._log = Counter(row.wamid for row in evidence.log)
        self._texts = {row.wamid: row.text for row in evidence.log}
        free = [one for one in evidence.messages if one["type"] != "template"]
        self._answers = _by_address(free)
        self._late = _by_address(m for m in evidence.mishaps if m["what"] == _WINDOW_CLOSED)
        self._facts = _facts(evidence.told or [])
        self.rows: dict[str, OddRow] = defaultdict(OddRow)
        self.problems: list[OddProblem] = []
        expected: Counter[str] = Counter()
        dead = 0
        for one in evidence.uses:
            if one["acknowledged"] == len(one["bodies"]):
                self._look_at(one)
                expected.update(one["expect"]["ignored"])
                dead += one["expect"]["dead"]
        if exact and dead != len(evidence.dead):
            what = f"{len(evidence.dead)} dead letters, not {dead}"
            self.problems.append(OddProblem("dead_letters", "all", "dead", what))
        if exact:
            self._compare_ignored(expected, Counter(evidence.ignored))

    def counts(self) -> dict[str, int]:
        """Return how many problems there are, by what is promised."""
        return dict(Counter(problem.promise for problem in self.problems))

    def _look_at(self, one: dict[str, Any]) -> None:
        row = self.rows[one["kind"]]
        row.uses += 1
        row.ignored.update(one["expect"]["ignored"])
        row.sent += len(_expected_facts(one, forwarded=False))
        for check in (self._stored, self._answered, self._dead, self._contacts, self._forwarded):
            for promise, what in check(one, row):
                self.problems.append(OddProblem(promise, one["kind"], _mark(one, what), what))

    def _stored(self, one: dict[str, Any], row: OddRow) -> Iterator[tuple[str, str]]:
        expect = one["expect"]
        for wamid in expect["stored"]:
            times = self._log[stored(wamid)]
            row.stored += times
            if times == 0:
                yield "lost", f"{wamid} is not in the log"
            elif times > 1:
                yield "twice", f"{wamid} is in the log {times} times"
        for wamid in expect["absent"]:
            if self._log[stored(wamid)]:
                yield "wrongly_stored", f"{wamid} is in the log as a customer's message"
        for wamid, text in expect.get("texts", {}).items():
            found = self._texts.get(stored(wamid))
            if stored(wamid) in self._log and found != text:
                yield "text", f"{wamid} has the text {found!r:.80}, not {text!r:.80}"

    def _answered(self, one: dict[str, Any], row: OddRow) -> Iterator[tuple[str, str]]:
        others = set(one["people"])
        for answer in one["expect"]["answered"]:
            count = self._sent_to(answer["people"])
            row.answered += count
            names = " or ".join(answer["people"])
            if count > answer["most"]:
                yield "wrongly_answered", f"{names} got {count} answers, not {answer['most']}"
            elif self._exact and count < answer["least"]:
                yield "unanswered", f"{names} got {count} answers, not {answer['least']}"
            others -= {form for person in answer["people"] for form in number_forms(person)}
        if count := self._sent_to(others):
            row.answered += count
            yield "wrongly_answered", f"{' or '.join(sorted(others))} got {count} answers"
        if count := _count(self._late, one["people"]):
            yield "wrongly_answered", f"{count} answers to {one['people']} came too late"

    def _sent_to(self, people: Iterable[str]) -> int:
        return _count(self._answers, people)

    def _dead(self, one: dict[str, Any], row: OddRow) -> Iterator[tuple[str, str]]:
        names = [*one["marks"], *one["people"]]
        found = sum(any(name in letter for name in names) for letter in self._evidence.dead)
        expected = one["expect"]["dead"]
        row.dead += found
        # What is not even an object names nobody.
        if found > expected and (self._exact or not expected):
            yield "dead_letters", f"{found} dead letters, not {expected}"

    def _contacts(self, one: dict[str, Any], _row: OddRow) -> Iterator[tuple[str, str]]:
        for expected in one["expect"]["contacts"]:
            people = {form for person in expected["people"] for form in number_forms(person)}
            found = [c for c in self._evidence.contacts if {c["wa_id"], c["user_id"]} & people]
            if len(found) != 1:
                yield "contacts", f"{sorted(people)} are {len(found)} contacts"
                continue
            for name, value in expected.items():
                values = number_forms(value) if name == "wa_id" and value else (value,)
                if name != "people" and found[0][name] not in values:
                    yield "contacts", f"{name} is {found[0][name]!r}, not {value!r}"

    def _forwarded(self, one: dict[str, Any], row: OddRow) -> Iterator[tuple[str, str]]:
        if self._evidence.told is None:
            return
        for fact in _expected_facts(one, forwarded=True):
            bodies = self._facts.get(fact, [])
            row.forwarded += len(bodies)
            if not bodies:
                yield "not_forwarded", f"the vendor's webhook was not told: {fact}"
            elif len(bodies) > 1:
                yield "forwarded_twice", f"the vendor's webhook was told {len(bodies)}x: {fact}"
        for fact, strangers in one["expect"].get("forward_lacks", {}).items():
            for body in self._facts.get(fact, []):
                for name in strangers:
                    if name.encode() in body:
                        yield "strangers", f"{name} was told with {fact}"

    def _compare_ignored(self, expected: Counter[str], found: Counter[str]) -> None:
        for reason in sorted(expected.keys() | found.keys()):
            if expected[reason] != found[reason]:
                what = f"{found[reason]} updates are ignored, not {expected[reason]}"
                self.problems.append(OddProblem("ignored", reason, reason, what))


def _mark(one: dict[str, Any], what: str) -> str:
    """Return the first of a use's names that a sentence has, or the first one."""
    names: list[str] = [*one["marks"], *one["people"], one["kind"]]
    return next((name for name in names if name in what), names[0])


def _by_address(sends: Iterable[dict[str, Any]]) -> dict[str, set[int]]:
    """Return the numbers of the sends to each address, in whatever form."""
    found: dict[str, set[int]] = defaultdict(set)
    for number, one in enumerate(sends):
        for address in (one.get("wa_id"), one.get("user_id"), one["to"]):
            if address:
                found[address.lstrip("+")].add(number)
    return found


def _count(sends: dict[str, set[int]], people: Iterable[str]) -> int:
    forms = {form for person in people for form in number_forms(person)}
    return len({number for form in forms for number in sends.get(form, ())})


def _facts(told: list[bytes]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for body in told:
        for fact in facts_of(body):
            found[fact].append(body)
    return found


def _expected_facts(one: dict[str, Any], *, forwarded: bool) -> list[str]:
    given: list[str] | None = one["expect"].get("forwarded")
    if given is not None and forwarded:
        return given
    bodies = [body.removeprefix("\ufeff").encode() for body in one["bodies"]]
    return list(dict.fromkeys(fact for body in bodies for fact in facts_of(body)))


def table(outcome: OddOutcome) -> str:
    """Return what became of each kind, in columns."""
    lines = [_line("kind", *("sent", "stored", "answered", "dead", "told"), "ignored")]
    for kind, row in sorted(outcome.rows.items()):
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(row.ignored.items()))
        lines.append(
            _line(kind, row.sent, row.stored, row.answered, row.dead, row.forwarded, reasons)
        )
    return "\n".join(lines)


def _line(kind: str, *columns: object) -> str:
    *numbers, reasons = columns
    return f"{kind:<42}" + "".join(f"{number!s:>10}" for number in numbers) + f"   {reasons}"
