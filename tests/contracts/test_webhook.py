"""Status order, Meta's signature and the verify token."""

import hashlib
import hmac
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.cloud_api.webhook import STATUS_RANK, higher_status, sign, verify_token
from tests.contracts.hypotheses import unhurried

#: Lowest first; ``cloud-api.md`` 2.2 orders sent, delivered, read and played.
PROVEN = ["delivered", "read", "played"]
UNPROVEN = ["accepted", "held_for_quality_assessment", "sent"]
UNKNOWN = ["", "DELIVERED", "deleted", "warning"]
EVERY = [*UNKNOWN, *UNPROVEN, "failed", *PROVEN]


def highest_of(statuses: Iterable[str]) -> str | None:
    state: str | None = None
    for status in statuses:
        if higher_status(state, status):
            state = status
    return state


def expected(statuses: Iterable[str]) -> str | None:
    """Effective state by 2.2: the highest rank; ``failed`` only if nothing proves a delivery."""
    seen = set(statuses)
    for group in (reversed(PROVEN), ["failed"], reversed(UNPROVEN), reversed(UNKNOWN)):
        for status in group:
            if status in seen:
                return status
    return None


@unhurried
@given(st.lists(st.sampled_from(EVERY), max_size=10), st.data())
def test_order_and_repetition_do_not_matter(statuses: list[str], data: Any) -> None:
    shuffled = data.draw(st.permutations(statuses + statuses[:3]))
    assert highest_of(statuses) == highest_of(shuffled) == expected(statuses)


@unhurried
@given(st.lists(st.text(max_size=3) | st.sampled_from(EVERY), max_size=6), st.data())
def test_statuses_of_next_year_do_not_matter_either(statuses: list[str], data: Any) -> None:
    assert highest_of(statuses) == highest_of(data.draw(st.permutations(statuses)))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_order_of_every_few(size: int) -> None:
    for some in itertools.combinations(EVERY, size):
        assert {highest_of(order) for order in itertools.permutations(some)} == {expected(some)}


@unhurried
@given(st.lists(st.sampled_from(EVERY)), st.lists(st.sampled_from(EVERY)))
def test_a_coalesced_batch_counts_as_its_highest(before: list[str], after: list[str]) -> None:
    """Workers coalesce statuses, and PHP coalesces what they hand over with what it has."""
    highest = highest_of(after)
    handed_over = [] if highest is None else [highest]
    assert highest_of([*before, *handed_over]) == highest_of([*before, *after])


def test_it_is_a_total_order() -> None:
    for a, b, c in itertools.product(EVERY, repeat=3):
        assert higher_status(a, b) + higher_status(b, a) == (a != b)
        if higher_status(a, b) and higher_status(b, c):
            assert higher_status(a, c)


@pytest.mark.parametrize("status", EVERY)
def test_anything_is_higher_than_nothing_and_nothing_than_itself(status: str) -> None:
    assert higher_status(None, status)
    assert not higher_status(status, status)


@pytest.mark.parametrize("status", [*UNPROVEN, *UNKNOWN])
def test_failed_ends_what_was_not_delivered(status: str) -> None:
    assert higher_status(status, "failed")
    assert not higher_status("failed", status)


@pytest.mark.parametrize("status", PROVEN)
def test_only_a_proof_of_delivery_ends_failed(status: str) -> None:
    assert higher_status("failed", status)
    assert not higher_status(status, "failed")


def test_every_documented_status_has_a_rank() -> None:
    assert set(STATUS_RANK) == {*UNPROVEN, "failed", *PROVEN}
    assert len(set(STATUS_RANK.values())) == len(STATUS_RANK)


@unhurried
@given(st.binary(min_size=1), st.binary())
def test_sign_is_over_the_exact_bytes(secret: bytes, body: bytes) -> None:
    assert sign(secret, body) == "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    assert sign(secret, body + b" ") != sign(secret, body)


def test_sign_of_a_known_body() -> None:
    """RFC 4231, test case 2."""
    assert sign(b"Jefe", b"what do ya want for nothing?") == (
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_verify_token_is_the_sha1_of_the_vendor() -> None:
    """FIPS 180, the message "abc"."""
    assert verify_token("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
