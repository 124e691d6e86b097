"""Events in the order of a message's life."""

from sidecar.ops.event import Event, Found, Named, Part, Source, Step, Thing


def _event(at_ms: int, step: Step) -> Event:
    return Event(at_ms, step, step.value, Source.SIDECAR)


def test_the_events_of_one_second_stand_in_the_order_of_a_life() -> None:
    """PHP and Meta tell whole seconds, so what they tell of one seems to come first."""
    events = [
        _event(5000, Step.STATUS),
        _event(5000, Step.RECORDED),
        _event(5700, Step.ACCEPTED),
        _event(5900, Step.CLAIMED),
        _event(5100, Step.CLAIMED),
        _event(4999, Step.STATUS),
    ]
    found = Found.of("q", [Part(events=events[:3]), Part(events=events[3:])])
    assert [(event.at_ms, event.kind) for event in found.events] == [
        (4999, Step.STATUS),
        (5100, Step.CLAIMED),
        (5900, Step.CLAIMED),
        (5700, Step.ACCEPTED),
        (5000, Step.RECORDED),
        (5000, Step.STATUS),
    ]


def test_what_two_sides_say_alike_is_said_once() -> None:
    found = Found.of("q", [Part(where=["a", "b"], notes=["n"]), Part(where=["a"], lost=["l"])])
    assert (found.where, found.notes, found.lost) == (["a", "b"], ["n"], ["l"])
    assert not found.nothing
    assert found.json["where"] == ["a", "b"]


def test_an_outcome_that_php_and_the_ledger_have_is_told_once() -> None:
    row = {"row": "r", "wamid": "w"}
    php = Event(5, Step.ACCEPTED, "accepted", Source.SIDECAR, details={**row, "message": "m"})
    later = Event(6, Step.FAILED, "failed", Source.SIDECAR, details=row)
    ledger = Event(5, Step.ACCEPTED, "accepted", Source.SIDECAR, details=row)
    statuses = [Event(5, Step.STATUS, name, Source.META, details=row) for name in ("sent", "read")]
    found = Found.of("q", [Part(events=[php, *statuses]), Part(events=[ledger, later])])
    assert found.events == [later, php, *statuses]


def test_nothing() -> None:
    assert Found.of("q", []).nothing
    assert Found.of("q", [Part(notes=["n"], lost=["l"])]).nothing
    assert not Found.of("q", [Part(things=[Named(Thing.VENDOR, "v")])]).nothing
