"""What of the hosts' own promises was kept."""

from typing import Any

import pytest

from simulator.chaos.hosts.figures import Rates
from simulator.chaos.hosts.run import broken

LINE = {"throttled": 0, "webhooks_refused": 0, "php_calls_failed": 0}


@pytest.mark.parametrize(
    ("rates", "line", "said"),
    [
        (Rates(79.2, 11.0, 79.1), {}, None),
        (Rates(None, 0.0, None), {}, None),
        (Rates(78.3, 11.0, 79.1), {}, "78.30 messages a second"),
        (Rates(79.2, 11.0, 80.1), {}, "80.10 messages a second"),
        (Rates(79.2, 11.0, 79.1), {"throttled": 2}, "2 messages were too fast"),
        (Rates(79.2, 11.0, 79.1), {"webhooks_refused": 3}, "3 webhooks were not answered"),
        (Rates(79.2, 11.0, 79.1), {"php_calls_failed": 1}, "1 of PHP's calls failed"),
    ],
)
def test_what_is_broken(rates: Rates, line: dict[str, Any], said: str | None) -> None:
    found = broken({**LINE, **line}, rates, 78.4, 80.0)
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said)


def test_the_rate_on_a_busy_machine() -> None:
    assert broken(LINE, Rates(3.0, 11.0, 5.0), least=0.0, most=80.0) == []
