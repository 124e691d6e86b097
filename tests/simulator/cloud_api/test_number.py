from typing import Any

import pytest

from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.engine import Engine
from simulator.cloud_api.number import Number

_URL = "http://127.0.0.1/webhook/a"


def _numbers(**settings: Any) -> dict[str, Number]:
    engine = Engine(CloudApiConfig(**settings))
    return {one.phone_number_id: one for one in engine.numbers}


@pytest.mark.parametrize(
    ("number", "display"),
    [
        ({"phone_number_id": "106540352242922"}, "15562242922"),
        ({"phone_number_id": "1"}, "15560000001"),
        ({"phone_number_id": "1", "display_phone_number": "4930123456"}, "4930123456"),
    ],
)
def test_display_phone_number(number: dict[str, str], display: str) -> None:
    (found,) = _numbers(phone_numbers=[number]).values()
    assert found.display_phone_number == display
    assert display in found.metadata


def test_what_a_number_does_not_say_its_account_does() -> None:
    account = {"account_id": "A", "webhook_url": _URL, "app_secret": "s", "access_token": "t"}
    numbers = _numbers(
        accounts=[account],
        phone_numbers=[
            {"phone_number_id": "1", "account_id": "A", "messages_per_s": 20},
            {"phone_number_id": "2"},
        ],
    )
    one, two = numbers["1"], numbers["2"]
    assert (one.app_secret, one.authorization, one.webhook_url) == ("s", b"Bearer t", _URL)
    assert (one.bucket.rate_per_s, two.bucket.rate_per_s) == (20, 80)
    assert two.webhook_url is None
    assert two.subscription is None


def test_same_url_and_secret_share_a_subscription() -> None:
    numbers = _numbers(
        webhook_url=_URL,
        accounts=[{"account_id": "B", "app_secret": "other"}],
        phone_numbers=[
            {"phone_number_id": "1"},
            {"phone_number_id": "2", "account_id": "A"},
            {"phone_number_id": "3", "account_id": "B"},
            {"phone_number_id": "4", "webhook_url": "http://127.0.0.1/webhook/b"},
        ],
    )
    one, two, three, four = (number.subscription for number in numbers.values())
    assert one is two
    assert len({one, three, four}) == 3
