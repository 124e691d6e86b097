"""A batch, and whose updates stay where they are."""

from tests.workers.payloads import make_update
from workers.inbox.batch import Batch, Handled
from workers.inbox.coalesce import Coalesced
from workers.inbox.delivery import UNTRIED, Fate, Verdict
from workers.inbox.reader import Taken
from workers.inbox.update import Update

A, B = "vendor-a", "vendor-b"
REFUSED = Verdict(Fate.RETRY, "locked")


def fresh(*updates: Update) -> Batch:
    """Return a batch of updates out of the inbox."""
    vendors = dict.fromkeys(update.vendor_uid for update in updates)
    return Batch([Taken(v, [u for u in updates if u.vendor_uid == v]) for v in vendors])


def test_an_empty_one_is_none() -> None:
    one = make_update()
    assert not Batch()
    assert fresh(one)
    assert Batch(waited={one.order_key: [one]})


def test_a_vendor_of_whose_updates_none_could_be_tried_is_untouched() -> None:
    a, b1, b2 = make_update(vendor_uid=A), make_update(vendor_uid=B), make_update(vendor_uid=B)
    verdicts = {a.id: UNTRIED, b1.id: UNTRIED, b2.id: REFUSED}
    handled = Handled(fresh(a, b1, b2), Coalesced([a, b1, b2]), [a, b1, b2], verdicts=verdicts)
    assert handled.untouched == {A}
    rest = handled.without(handled.untouched)
    assert rest.tried == rest.coalesced.updates == [b1, b2]
    assert [taken.vendor_uid for taken in rest.batch.fresh] == [B]
    assert handled.without(set()) is handled
    assert not handled.without({A, B}).batch


def test_a_vendor_of_whose_updates_php_needed_none_is_settled() -> None:
    """They are duplicates, or wait behind others: there was nothing to try."""
    one = make_update(vendor_uid=A)
    assert Handled(fresh(one), Coalesced([one]), duplicates=[one]).untouched == set()


def test_what_has_waited_is_left_out_by_its_vendor_too() -> None:
    a, b = (
        make_update(vendor_uid=A, order_key=f"{A}/x"),
        make_update(vendor_uid=B, order_key=f"{B}/x"),
    )
    batch = Batch(waited={a.order_key: [a], b.order_key: [b]})
    assert batch.without({A}).waited == {b.order_key: [b]}
