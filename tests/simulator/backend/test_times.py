import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.backend.times import to_ms, to_text, to_text_up, unix_seconds_ms

SECONDS = st.integers(min_value=0, max_value=253402300799)


@given(SECONDS)
def test_whole_seconds_survive(second: int) -> None:
    assert to_ms(to_text(second * 1000)) == second * 1000


@given(SECONDS, st.integers(min_value=0, max_value=999))
def test_down_is_never_late_and_up_is_never_early(second: int, rest: int) -> None:
    ms = second * 1000 + rest
    assert to_text(ms) == to_text(second * 1000)
    assert to_text_up(ms) == to_text((second + bool(rest)) * 1000)


@given(st.integers())
def test_every_number_has_a_text(ms: int) -> None:
    assert "1970-01-01 00:00:00" <= to_text(ms) <= "9999-12-31 23:59:59"


def test_iso_8601_is_read() -> None:
    assert to_ms("2025-06-15T15:06:40.000000Z") == to_ms("2025-06-15 15:06:40") == 1750000000000


@pytest.mark.parametrize(("value", "ms"), [("1750000000", 1750000000000), (7, 7000), ("0", 0)])
def test_metas_timestamps_are_read(value: object, ms: int) -> None:
    assert unix_seconds_ms(value) == ms


@pytest.mark.parametrize(
    "value", [None, True, "", "soon", "-1", -1, "1e3", "٣", "9" * 13, 2**60, []]
)
def test_what_is_no_timestamp_is_none(value: object) -> None:
    assert unix_seconds_ms(value) is None
