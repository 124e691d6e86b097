"""How fast a campaign was beside a host's trouble, and where webhooks went."""

from pathlib import Path

import orjson
import pytest

from simulator.chaos.hosts.figures import doors, rates


def sent(begin: float, count: int, per_s: float) -> list[float]:
    return [begin + place / per_s for place in range(count)]


def test_rates_on_both_sides_of_a_takeover() -> None:
    times = [*sent(100.0, 400, 80.0), *sent(110.0, 400, 79.0)]
    found = rates(times[::-1], [], trouble_at=105.0)
    assert found.before == pytest.approx(80.0)
    assert found.after == pytest.approx(79.0)
    assert found.gap_s == pytest.approx(110.0 - times[399])


def test_a_gap_before_the_trouble_is_the_rates() -> None:
    times = [*sent(100.0, 200, 80.0), *sent(105.0, 200, 80.0), *sent(107.6, 200, 80.0)]
    found = rates(times, [], trouble_at=107.0)
    assert found.before is not None
    assert found.before < 60
    assert found.gap_s < 0.2


def test_replies_share_the_rate_while_the_campaign_is_sent() -> None:
    times = [*sent(100.0, 350, 70.0), *sent(110.0, 350, 70.0)]
    found = rates(times, sent(90.0, 500, 10.0), trouble_at=105.0)
    assert found.before == pytest.approx(80.0, abs=0.3)
    assert found.after == pytest.approx(80.0, abs=0.3)
    assert found.gap_s == pytest.approx(110.0 - times[349]), "others may answer meanwhile"


@pytest.mark.parametrize("times", [[], [1.0], sent(1.0, 100, 80.0)])
def test_too_few_say_nothing(times: list[float]) -> None:
    found = rates(times, [], trouble_at=1.5)
    assert (found.before, found.after, found.measured) == (None, None, [])


def test_where_webhooks_went(tmp_path: Path) -> None:
    ways = [
        ("10.77.0.11:8600", 200, 0.01),
        ("10.77.0.11:8600, 10.77.0.12:8600", 200, 1.02),
        ("10.77.0.11:8600, 10.77.0.12:8600 : unix:/fpm.sock", 200, 2.5),
        ("10.77.0.12:8600 : unix:/fpm.sock", 502, 0.2),
    ]
    lines = [
        {"path": "/whatsapp-webhook/v", "upstream": way, "status": status, "seconds": seconds}
        for way, status, seconds in ways
    ]
    lines.insert(1, {**lines[0], "path": "/login", "seconds": 9.0})
    log = tmp_path / "access.log"
    old = orjson.dumps({**lines[0], "status": 500}) + b"\n"
    log.write_bytes(old + b"".join(orjson.dumps(line) + b"\n" for line in lines))
    assert doors(log, len(old)) == {
        "to_a_host": 1,
        "to_another_host": 1,
        "to_php": 2,
        "answers": {"200": 3, "502": 1},
        "slowest_s": 2.5,
    }
