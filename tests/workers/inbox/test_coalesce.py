"""Coalescing drops nothing, and ends in the same status whatever the order."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.backend import UpdateKind
from contracts.cloud_api.webhook import STATUS_RANK, higher_status
from tests.contracts.hypotheses import unhurried
from tests.workers.payloads import make_update, status, webhook
from workers.inbox.coalesce import Coalesced, coalesce
from workers.inbox.update import Update

STATUS = UpdateKind.STATUS


def a_status(name: str | None, wamid: str | None = "wamid.1", **more: Any) -> Update:
    one = make_update(
        STATUS, wamid=wamid, status_name=name or "odd", order_key=f"k/{wamid}", **more
    )
    one.status, one.wamid = name, wamid
    return one


def carried(update: Update) -> list[str]:
    """Return the lower statuses that an update carries."""
    return [orjson.loads(status)["status"] for status in update.lower_statuses]


def ids(updates: list[Update]) -> list[str]:
    return [one.id for one in updates]


def assert_complete(before: list[Update], coalesced: Coalesced) -> None:
    after = [*coalesced.updates, *coalesced.duplicates, *coalesced.lower]
    assert sorted(ids(after)) == sorted(ids(before))


@pytest.mark.parametrize(
    "names", list(itertools.permutations(["sent", "delivered", "read", "failed"]))
)
def test_the_highest_status_stays_and_carries_the_others(names: tuple[str, ...]) -> None:
    before = [a_status(name) for name in names]
    coalesced = coalesce(before)
    assert [one.status for one in coalesced.updates] == ["read"]
    assert sorted(carried(coalesced.updates[0])) == [
        "delivered",
        "failed",
        "sent",
    ]
    assert_complete(before, coalesced)


def test_the_same_status_twice_is_one_that_carries_nothing() -> None:
    before = [a_status("read") for _ in range(2)]
    coalesced = coalesce(before)
    assert (len(coalesced.updates), len(coalesced.duplicates), coalesced.lower) == (1, 1, [])
    assert carried(coalesced.updates[0]) == []
    assert_complete(before, coalesced)


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
    def coalesced_in_order(order: list[Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        before = [a_status(name, wamid, vendor_uid=vendor) for name, wamid, vendor in order]
        coalesced = coalesce(before)
        assert_complete(before, coalesced)
        kept, lower = {}, {}
        for one in coalesced.updates:
            if one.wamid is not None and one.status is not None:
                key = (one.vendor_uid, one.wamid)
                assert key not in kept
                kept[key] = one.status
                lower[key] = sorted(carried(one))
        return kept, lower

    shuffled = list(what)
    random.shuffle(shuffled)
    assert coalesced_in_order(what) == coalesced_in_order(shuffled)


def test_what_is_kept_ranks_above_all_that_it_carries() -> None:
    coalesced = coalesce([a_status(name) for name in ("delivered", "sent", "played", "read")])
    [one] = coalesced.updates
    assert one.status is not None
    assert all(higher_status(status, one.status) for status in carried(one))


def test_the_lower_statuses_are_the_objects_that_meta_sent() -> None:
    first, second = a_status("sent"), a_status("read")
    [one] = coalesce([first, second]).updates
    assert first.payload is not None
    value = first.payload["entry"][0]["changes"][0]["value"]
    assert [orjson.loads(status) for status in one.lower_statuses] == value["statuses"]


def test_what_the_participants_of_a_group_have_read_are_facts_of_their_own() -> None:
    def read(participant: str, **more: str) -> Update:
        one = status("wamid.1", "read", recipient_participant_id=participant, **more)
        return a_status("read", parts=(b"", webhook(statuses=[one]), b""))

    before = [read("1"), read("2"), read("3"), read("2"), read("2", timestamp="1750000001")]
    coalesced = coalesce(before)
    assert ids(coalesced.duplicates) == [before[3].id]
    [one] = coalesced.updates
    assert len(one.facts()) == len(one.lower_statuses) + 1 == 4
    assert_complete(before, coalesced)


def test_an_equal_status_is_a_duplicate() -> None:
    before = [a_status("sent"), a_status("delivered"), a_status("sent"), a_status("delivered")]
    coalesced = coalesce(before)
    assert ids(coalesced.duplicates) == ids(before[2:])
    assert carried(coalesced.updates[0]) == ["sent"]


def test_statuses_of_different_messages_and_vendors_stay_apart() -> None:
    before = [
        a_status("sent", "wamid.1"),
        a_status("read", "wamid.2"),
        a_status("read", "wamid.1", vendor_uid="vendor-2"),
        a_status("sent", None),
        a_status("sent", None),
    ]
    assert ids(coalesce(before).updates) == ids(before)


def test_a_status_takes_the_place_of_the_first_of_its_message() -> None:
    before = [a_status("sent", "wamid.1"), a_status("sent", "wamid.2"), a_status("read", "wamid.1")]
    assert [(one.wamid, one.status) for one in coalesce(before).updates] == [
        ("wamid.1", "read"),
        ("wamid.2", "sent"),
    ]


def test_what_was_coalesced_before_is_carried_on() -> None:
    [waiting] = coalesce([a_status("sent"), a_status("delivered")]).updates
    [one] = coalesce([waiting, a_status("read")]).updates
    assert carried(one) == ["sent", "delivered"]
    [other] = coalesce([a_status("read"), waiting]).updates
    assert other.status == "read"
    assert sorted(carried(other)) == ["delivered", "sent"]


def test_what_a_duplicate_carries_is_carried_on() -> None:
    [carrying] = coalesce([a_status("sent"), a_status("delivered")]).updates
    again = a_status("delivered")
    coalesced = coalesce([again, carrying])
    assert coalesced.updates == [again]
    assert coalesced.duplicates == [carrying]
    assert carried(again) == ["sent"]
    assert len(again.facts()) == 2


@pytest.mark.parametrize("names", [("sent", "read"), ("read", "sent")])
def test_what_is_known_of_one_is_known_of_both(names: tuple[str, str]) -> None:
    """Otherwise a refused status would begin anew with every status that comes after it."""
    known: dict[str, Any] = {"attempts": 4, "refused": 2, "first_failed_at": 7}
    known["callback_data"] = "row-1"
    refused = a_status(names[0], reason="no", **known)
    [one] = coalesce([refused, a_status(names[1])]).updates
    assert one.status == "read"
    assert {name: getattr(one, name) for name in known} == known


def test_of_two_failures_the_earlier_one_counts() -> None:
    first = a_status("sent", attempts=1, first_failed_at=9)
    [one] = coalesce([first, a_status("read", attempts=2, first_failed_at=5)]).updates
    assert (one.attempts, one.first_failed_at) == (2, 5)


@pytest.mark.parametrize("kind", [UpdateKind.MESSAGE, UpdateKind.ECHO])
def test_a_message_that_came_before_is_a_duplicate(kind: UpdateKind) -> None:
    before = [
        make_update(kind, wamid="wamid.1"),
        make_update(kind, wamid="wamid.2"),
        make_update(kind, wamid="wamid.1"),
    ]
    coalesced = coalesce(before)
    assert ids(coalesced.updates) == ids(before[:2])
    assert ids(coalesced.duplicates) == ids(before[2:])


def test_a_message_an_echo_and_a_status_with_one_id_are_different_things() -> None:
    before = [
        make_update(UpdateKind.MESSAGE, wamid="wamid.1"),
        make_update(UpdateKind.ECHO, wamid="wamid.1"),
        a_status("sent", "wamid.1"),
    ]
    assert ids(coalesce(before).updates) == ids(before)


def test_a_status_that_says_nothing_we_know_stands_for_itself() -> None:
    before = [a_status(None), a_status("sent"), a_status(None)]
    coalesced = coalesce(before)
    assert ids(coalesced.updates) == ids(before)


def test_what_has_no_id_is_kept() -> None:
    before = [
        make_update(UpdateKind.CHANGE),
        make_update(UpdateKind.CHANGE),
        make_update(None),
        make_update(None),
        make_update(UpdateKind.MESSAGE, wamid="", order_key="k"),
    ]
    before[-1].wamid = None
    assert ids(coalesce(before).updates) == ids(before)


def test_the_order_stays() -> None:
    before = [make_update(wamid=f"wamid.{n % 3}") for n in range(7)]
    assert [one.wamid for one in coalesce(before).updates] == ["wamid.0", "wamid.1", "wamid.2"]


def a_message(wamid: str = "wamid.1", **more: Any) -> Update:
    return make_update(wamid=wamid, order_key="k", **more)


def test_the_message_itself_is_no_duplicate_of_what_stands_for_it() -> None:
    before = [a_message(provisional=True), a_message(provisional=True), a_message(), a_message()]
    before += [a_message(provisional=True)]
    coalesced = coalesce(before)
    assert ids(coalesced.updates) == [before[0].id, before[2].id]
    assert ids(coalesced.duplicates) == [before[1].id, before[3].id, before[4].id]


def test_ids_are_compared_by_case() -> None:
    before = [a_message("wamid.CaSe"), a_message("wamid.cAsE")]
    before += [a_status("sent", "wamid.CaSe"), a_status("sent", "wamid.cAsE")]
    assert ids(coalesce(before).updates) == ids(before)


def test_it_knows_all_webhooks_that_it_came_in() -> None:
    before = [a_status(name, webhooks={name: 7}) for name in ("sent", "read", "delivered")]
    [one] = coalesce(before).updates
    assert one.webhooks == {"sent": 7, "read": 7, "delivered": 7}


def test_nothing_comes_of_nothing() -> None:
    assert coalesce([]) == Coalesced()
