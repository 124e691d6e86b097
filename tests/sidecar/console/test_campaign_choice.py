"""Which campaigns of the list somebody wants to see."""

import pytest
from starlette.requests import Request

from contracts.backend import CampaignState, DueCampaign
from sidecar.console.campaign_choice import Choice
from sidecar.ops.campaigns import Campaign

TITLES = {"v-1": "Ada's shop"}
SPRING = DueCampaign(campaign_uid="c-1", vendor_uid="v-1", title="Spring")


def choice(query: str) -> Choice:
    return Choice.of(Request({"type": "http", "query_string": query.encode(), "headers": []}))


@pytest.mark.parametrize(
    ("query", "state", "fits"),
    [
        ("", "running", True),
        ("", "cancelled", False),
        ("state=cancelled", "cancelled", True),
        ("state=paused", "running", False),
        ("state=nonsense", "running", True),
        ("find=SPR", "running", True),
        ("find=c-1", "running", True),
        ("find=v-1", "running", True),
        ("find=ada", "running", True),
        ("find=summer", "running", False),
    ],
)
def test_which_fit(query: str, state: str, fits: bool) -> None:
    one = Campaign("c-1", SPRING.model_copy(update={"state": CampaignState(state)}))
    assert choice(query).fits(one, TITLES) is fits


def test_one_that_only_redis_knows() -> None:
    assert choice("find=c-1").fits(Campaign("c-1", None), {})
    assert not choice("find=spring").fits(Campaign("c-1", None), {})


def test_the_address_of_a_page() -> None:
    asked = choice("find=+a%26b+&state=paused&page=7")
    assert asked.page == 7
    assert asked.query(2) == "find=a%26b&state=paused&page=2"
    assert choice("").query(1) == ""
