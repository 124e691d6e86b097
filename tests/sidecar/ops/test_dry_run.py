"""How long a campaign would take."""

import pytest

from contracts.backend import PhoneNumber, VendorConfig
from sidecar.ops.dry_run import DryRun
from tests.conftest import MakeSettings


@pytest.mark.parametrize(
    ("numbers", "daily", "seconds"),
    [
        ({}, None, 0),
        ({"110": 800}, None, 10),
        ({"110": 800, "111": 800}, None, 80),
        ({"110": 800}, 800, 10),
        ({"110": 801}, 800, 86_400),
        ({"110": 1601}, 800, 2 * 86_400),
        ({"110": 800}, 0, 10),
    ],
)
def test_numbers_send_side_by_side_within_the_portfolios_limit(
    make_settings: MakeSettings, numbers: dict[str, int], daily: int | None, seconds: float
) -> None:
    slow = PhoneNumber(phone_number_id="111", messages_per_second=10)
    vendor = VendorConfig(vendor_uid="v-1", phone_numbers=[slow], daily_recipients=daily)
    found = DryRun(vendor, make_settings(messages_per_second=80, rate_share=1))
    found.numbers.update(numbers)
    assert found.seconds == pytest.approx(seconds)
    assert found.messages == sum(numbers.values())
