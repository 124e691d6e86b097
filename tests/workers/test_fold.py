"""Folding drops nothing, and ends in the same status whatever the order."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.backend import UpdateKind
from contracts.cloud_api.webhook import STATUS_RANK, higher_status
from tests.contracts.hypotheses import unhurried
from tests.workers.payloads import item
from workers.inbox.coalesce import Folded, fold
from workers.inbox.update import Update

STATUS = UpdateKind.STATUS


def a_status(name: str | None, wamid: str | None = "wamid.1", **more: Any) -> Update:
    one = item(STATUS, wamid=wamid, status_name=name or "odd", order_key=f"k/{wamid}", **more)
    one.status, one.wamid = name, wamid
    return one


def ids(items: list[Update]) -> list[str]:
    return [one.id for one in items]


def assert_complete(before: list[Update], folded: Folded) -> None:
    after = [*folded.items, *folded.duplicates, *folded.lower]
    assert sorted(ids(after)) == sorted(ids(before))


@pytest.mark.parametrize(
    "names", list(itertools.permutations(["sent", "delivered", "read", "failed"]))
)
def test_the_highest_status_stays_and_carries_the_others(names: tuple[str, ...]) -> None:
    before = [a_status(name) for name in names]
    folded = coalesce(before)
    assert [one.status for one in folded.items] == ["read"]
    assert sorted(s["status"] for s in folded.items[0].lower_statuses) == [
        "delivered",
        "failed",
        "sent",
    ]
    assert_complete(before, folded)


@unhurried
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*STATUS_RANK, "warning", "deleted", None]),
            st.sampled_from(["wamid.1", "wamid.2", None]),
            st.sampled_from(["vendor-1", "vendor-2"]),
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_any_order_ends_the_same(what: list[Any], random: Any) -> None:
    def folded_in_order(order: list[Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        before = [a_status(name, wamid, vendor_uid=vendor) for name, wamid, vendor in order]
        folded = coalesce(before)
        assert_complete(before, folded)
        kept, lower = {}, {}
        for one in folded.items:
            if one.wamid is not None and one.status is not None:
                key = (one.vendor_uid, one.wamid)
                assert key not in kept
                kept[key] = one.status
                lower[key] = sorted(status["status"] for status in one.lower_statuses)
        return kept, lower

    shuffled = list(what)
    random.shuffle(shuffled)
    assert folded_in_order(what) == folded_in_order(shuffled)


def test_what_is_kept_ranks_above_all_that_it_carries() -> None:
    folded = coalesce([a_status(name) for name in ("delivered", "sent", "played", "read")])
    [one] = folded.items
    assert one.status is not None
    assert all(higher_status(s["status"], one.status) for s in one.lower_statuses)


def test_the_lower_statuses_are_the_objects_that_meta_sent() -> None:
    first, second = a_status("sent"), a_status("read")
    [one] = coalesce([first, second]).items
    assert first.payload is not None
    value = first.payload["entry"][0]["changes"][0]["value"]
    assert one.lower_statuses == value["statuses"]


def test_an_equal_status_is_a_duplicate() -> None:
    before = [a_status("sent"), a_status("delivered"), a_status("sent"), a_status("delivered")]
    folded = coalesce(before)
    assert ids(folded.duplicates) == ids(before[2:])
    assert [s["status"] for s in folded.items[0].lower_statuses] == ["sent"]


def test_statuses_of_different_messages_and_vendors_stay_apart() -> None:
    before = [
        a_status("sent", "wamid.1"),
        a_status("read", "wamid.2"),
        a_status("read", "wamid.1", vendor_uid="vendor-2"),
        a_status("sent", None),
        a_status("sent", None),
    ]
    assert ids(coalesce(before).items) == ids(before)


def test_a_status_takes_the_place_of_the_first_of_its_message() -> None:
    before = [a_status("sent", "wamid.1"), a_status("sent", "wamid.2"), a_status("read", "wamid.1")]
    assert [(one.wamid, one.status) for one in coalesce(before).items] == [
        ("wamid.1", "read"),
        ("wamid.2", "sent"),
    ]


def test_what_was_folded_before_is_carried_on() -> None:
    [waiting] = coalesce([a_status("sent"), a_status("delivered")]).items
    [one] = coalesce([waiting, a_status("read")]).items
    assert [s["status"] for s in one.lower_statuses] == ["sent", "delivered"]
    [other] = coalesce([a_status("read"), waiting]).items
    assert other.status == "read"
    assert sorted(s["status"] for s in other.lower_statuses) == ["delivered", "sent"]


@pytest.mark.parametrize("names", [("sent", "read"), ("read", "sent")])
def test_what_is_known_of_one_is_known_of_both(names: tuple[str, str]) -> None:
    """Otherwise a refused status would begin anew with every status that comes after it."""
    refused = a_status(names[0], attempts=4, first_failed_at=7, reason="no", callback_data="row-1")
    [one] = coalesce([refused, a_status(names[1])]).items
    assert one.status == "read"
    assert (one.attempts, one.first_failed_at, one.callback_data) == (4, 7, "row-1")


def test_of_two_failures_the_earlier_one_counts() -> None:
    first = a_status("sent", attempts=1, first_failed_at=9)
    [one] = coalesce([first, a_status("read", attempts=2, first_failed_at=5)]).items
    assert (one.attempts, one.first_failed_at) == (2, 5)


@pytest.mark.parametrize("kind", [UpdateKind.MESSAGE, UpdateKind.ECHO])
def test_a_message_that_came_before_is_a_duplicate(kind: UpdateKind) -> None:
    before = [item(kind, wamid="wamid.1"), item(kind, wamid="wamid.2"), item(kind, wamid="wamid.1")]
    folded = coalesce(before)
    assert ids(folded.items) == ids(before[:2])
    assert ids(folded.duplicates) == ids(before[2:])


def test_a_message_an_echo_and_a_status_with_one_id_are_different_things() -> None:
    before = [
        item(UpdateKind.MESSAGE, wamid="wamid.1"),
        item(UpdateKind.ECHO, wamid="wamid.1"),
        a_status("sent", "wamid.1"),
    ]
    assert ids(coalesce(before).items) == ids(before)


def test_a_status_that_says_nothing_we_know_stands_for_itself() -> None:
    before = [a_status(None), a_status("sent"), a_status(None)]
    folded = coalesce(before)
    assert ids(folded.items) == ids(before)


def test_what_has_no_id_is_kept() -> None:
    before = [
        item(UpdateKind.CHANGE),
        item(UpdateKind.CHANGE),
        item(None),
        item(None),
        item(UpdateKind.MESSAGE, wamid="", order_key="k"),
    ]
    before[-1].wamid = None
    assert ids(coalesce(before).items) == ids(before)


def test_the_order_stays() -> None:
    before = [item(wamid=f"wamid.{n % 3}") for n in range(7)]
    assert [one.wamid for one in coalesce(before).items] == ["wamid.0", "wamid.1", "wamid.2"]


def test_nothing_comes_of_nothing() -> None:
    assert coalesce([]) == Folded()
