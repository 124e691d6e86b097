"""What a seed draws."""

from random import Random

import orjson
import pytest

from simulator.adversary.payloads import Pen, Post
from simulator.adversary.plan import MAX_ATTACKERS, MAX_SHAPES, draw_plan
from simulator.adversary.shapes import ATTACK_S, SHAPES
from simulator.backend.seed import SeededVendor

#: What one attacker may post in a round.
MAX_POSTS = 400
MAX_BYTES = 8_000_000
#: nginx's and the sidecar's limit for one webhook.
MAX_BODY_BYTES = 4 * 1024 * 1024

VENDOR = SeededVendor(7, "vendor-7", ("2007",), "token", "secret", "3007")


def posts(name: str, seed: int = 1, tag: str = "abc") -> list[Post]:
    return SHAPES[name].posts(Pen(VENDOR, Random(seed), tag))


def test_the_seed_alone_decides() -> None:
    plans = [draw_plan(seed) for seed in range(1, 40)]
    assert plans == [draw_plan(seed) for seed in range(1, 40)]
    assert len(set(plans)) == len(plans)
    assert {plan.report for plan in plans} == {True, False}


def test_each_shape_has_its_turn() -> None:
    plans = [draw_plan(seed) for seed in range(5, 5 + len(SHAPES))]
    assert {plan.attackers[0][0] for plan in plans} == set(SHAPES)


def test_attackers_are_bounded() -> None:
    for plan in map(draw_plan, range(1, 200)):
        assert 1 <= len(plan.attackers) <= MAX_ATTACKERS
        assert all(1 <= len(names) <= MAX_SHAPES for names in plan.attackers)


def test_only_what_was_asked_for() -> None:
    assert draw_plan(3, ["php_500", "contacts"]).attackers == (("php_500", "contacts"),)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_bounded(name: str) -> None:
    for seed in range(6):
        found = posts(name, seed)
        assert len(found) <= MAX_POSTS
        assert sum(len(post.body) for post in found) <= MAX_BYTES
        assert all(len(post.body) <= MAX_BODY_BYTES for post in found)
        assert all(0 <= post.at_s < ATTACK_S for post in found)


@pytest.mark.parametrize("name", SHAPES)
def test_no_two_attacks_share_a_message(name: str) -> None:
    def wamids(tag: str) -> list[str]:
        return [wamid for post in posts(name, tag=tag) for wamid in post.wamids]

    first, again = wamids("1x"), wamids("2x")
    assert len(set(first)) == len(first)
    assert not set(first) & set(again)


def test_what_must_be_found_again_is_in_the_body() -> None:
    for name in SHAPES:
        for post in posts(name):
            assert all(wamid.encode() in post.body for wamid in post.wamids)


def test_what_the_issue_names() -> None:
    [one_sender] = posts("one_sender")
    assert len(one_sender.wamids) == 1000
    assert len(one_sender.body) <= 110_000
    [empty] = posts("empty_statuses")
    value = orjson.loads(empty.body)["entry"][0]["changes"][0]["value"]
    assert len(value["statuses"]) == 200_002
    assert len(empty.body) < 650_000
    [wide] = posts("wide_envelope")
    assert len(wide.wamids) == 1000
    assert len(wide.body) > 1_500_000
    assert sum(len(post.wamids) for post in posts("php_500")) == 600
    assert b"php answers 400" in posts("php_400")[0].body
    assert not any(post.wamids for post in posts("strangers"))
    assert VENDOR.uid not in {post.vendor_uid for post in posts("strangers")}
