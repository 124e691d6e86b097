from typing import Any

import pytest
from pydantic import ValidationError

from simulator.cloud_api.config import CloudApiConfig


def test_defaults_are_as_documented_by_meta() -> None:
    config = CloudApiConfig()
    assert config.messages_per_s == 80
    assert (config.pair_interval_s, config.pair_burst) == (6, 45)
    assert config.retry_age_s == 7 * 24 * 3600
    assert (config.delivered_share, config.read_share) == (1, 1)
    assert not config.failed_shares


def test_json_round_trip() -> None:
    config = CloudApiConfig(
        failed_shares={131026: 0.1}, faults=[{"kind": "slow"}], batch_sizes={1: 1, 7: 2}
    )
    assert CloudApiConfig.model_validate_json(config.model_dump_json()) == config


def test_secrets_are_not_shown() -> None:
    shown = repr(CloudApiConfig(access_token="geheim-1", app_secret="geheim-2"))
    assert "geheim" not in shown


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"webhook_url": "127.0.0.1:80"}, "webhook_url"),
        ({"webhook_url": "ftp://127.0.0.1/"}, "webhook_url"),
        ({"sent_delay_ms": (5, 1)}, "sent_delay_ms"),
        ({"sent_delay_ms": (-1, 1)}, "sent_delay_ms"),
        ({"failed_shares": {7: 0.1}}, "failed_shares"),
        ({"error_shares": {131026: 0.6, 131000: 0.6}}, "error_shares"),
        ({"read_share": 1.5}, "read_share"),
        ({"inbound_types": {"telegram": 1}}, "inbound_types"),
        ({"inbound_types": {"text": 0}}, "inbound_types"),
        ({"batch_sizes": {0: 1}}, "batch_sizes"),
        ({"batch_sizes": {1001: 1}}, "batch_sizes"),
        ({"phone_numbers": []}, "phone_numbers"),
        ({"phone_numbers": [{"phone_number_id": "1"}] * 2}, "phone_numbers"),
        ({"accounts": [{"account_id": "1"}] * 2}, "accounts"),
        ({"speed": 1}, "speed"),
    ],
)
def test_wrong_settings_are_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        CloudApiConfig(**fields)
