"""Troubles of Redis and PHP, in words."""

import pytest

from sidecar.ops.trouble import TROUBLES, trouble_text
from sidecar.php.client import BackendRefused, BackendUnavailable
from sidecar.redis.client import RedisUnavailable, ResponseError


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (BackendRefused(409, "no", "not now"), "PHP refused the call: no: not now"),
        (BackendUnavailable("gone"), "PHP call failed: gone; sidecar check tries backend_url"),
        (RedisUnavailable[0]("gone"), "Redis is unavailable: gone; sidecar check tries redis_url"),
        (ResponseError("WRONGTYPE"), "Redis refused a command: WRONGTYPE; sidecar check tries"),
    ],
)
def test_what_is_said(error: Exception, says: str) -> None:
    assert isinstance(error, TROUBLES)
    assert trouble_text(error).startswith(says)
