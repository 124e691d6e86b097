from simulator.cloud_api.pairs import PairLimit


def _send(limit: PairLimit, now: float, to: str = "49151") -> bool:
    if not limit.allows(to, now):
        return False
    limit.count(to, now)
    return True


def test_one_in_six_seconds_for_ever() -> None:
    limit = PairLimit(6, 45)
    assert all(_send(limit, at * 6.0) for at in range(1000))


def test_burst_borrows_from_the_future() -> None:
    limit = PairLimit(6, 45)
    assert all(_send(limit, at / 10) for at in range(20))
    # Meta: after a burst of 20, about two minutes.
    assert not _send(limit, 6.0)
    assert not _send(limit, 119.9)
    assert _send(limit, 120.0)


def test_burst_has_an_end() -> None:
    limit = PairLimit(6, 45)
    assert sum(_send(limit, at / 100) for at in range(100)) == 45
    assert not _send(limit, 269.9)
    assert _send(limit, 270.0)


def test_recipients_do_not_share_a_limit() -> None:
    limit = PairLimit(6, 1)
    assert _send(limit, 0.0, "1")
    assert not _send(limit, 1.0, "1")
    assert _send(limit, 1.0, "2")


def test_interval_zero_is_no_limit() -> None:
    limit = PairLimit(0, 1)
    assert all(_send(limit, 0.0) for _ in range(100))
    assert len(limit) == 0


def test_old_pairs_are_forgotten() -> None:
    limit = PairLimit(6, 45)
    for at in range(100_000):
        assert _send(limit, at / 1000, str(at))
    # 6,000 of them are younger than six seconds.
    assert len(limit) < 20_000
    assert len(limit) >= 6_000
