"""A campaign's states: a cancelled one is only started again by send."""

import itertools

import pytest

from contracts.campaigns import TRANSITIONS, CampaignAction, CampaignState, allows_write

RUNNING, PAUSED, CANCELLED = CampaignState
FORBIDDEN = {(CANCELLED, CampaignAction.PAUSE), (CANCELLED, CampaignAction.RESUME)}


def test_every_action_is_allowed_but_two() -> None:
    every = itertools.product(CampaignState, CampaignAction)
    assert {one for one in every if TRANSITIONS.after(*one) is None} == FORBIDDEN


@pytest.mark.parametrize("restart", [False, True])
def test_what_php_may_write(restart: bool) -> None:
    every = itertools.product(CampaignState, CampaignState)
    refused = {one for one in every if not allows_write(*one, restart=restart)}
    assert refused == {(CANCELLED, PAUSED)} | (set() if restart else {(CANCELLED, RUNNING)})
