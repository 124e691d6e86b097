"""How fast a number may send."""

import pytest

from contracts.backend import PhoneNumber, VendorConfig
from sidecar.sending.rates import rate_of
from tests.conftest import MakeSettings


@pytest.mark.parametrize(
    ("number", "rate"),
    [
        ({}, 40),
        ({"messages_per_second": 250}, 125),
        ({"messages_per_second": 250, "coexistence": True}, 10),
        ({"messages_per_second": float("nan")}, 40),
    ],
)
def test_only_the_share_that_the_settings_name(
    make_settings: MakeSettings, number: dict[str, float], rate: float
) -> None:
    known = PhoneNumber(phone_number_id="110", **number)
    config = VendorConfig(vendor_uid="v-1", phone_numbers=[known])
    settings = make_settings(messages_per_second=80, rate_share=0.5)
    assert rate_of(config, "110", settings) == rate
    assert rate_of(config, "111", settings) == 40
