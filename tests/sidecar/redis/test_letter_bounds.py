"""What is kept of dead letters, as the scripts take it."""

from sidecar.redis import keys
from sidecar.redis.letter_bounds import DAY_MS, DEFAULT_BOUNDS, Bounds, letter_keys
from tests.conftest import MakeSettings


def test_the_settings_tell_them(make_settings: MakeSettings) -> None:
    settings = make_settings(
        dead_letters_limit=7, dead_letters_limit_bytes=20_000_000, dead_letters_limit_days=3
    )
    assert Bounds.of(settings) == Bounds(number=7, size_bytes=20_000_000, days=3)


def test_by_default_they_are_the_settings_defaults(make_settings: MakeSettings) -> None:
    assert Bounds.of(make_settings()) == DEFAULT_BOUNDS


def test_words_say_from_when_on_letters_are_kept() -> None:
    now = 100 * DAY_MS
    assert Bounds(number=7, size_bytes=8, days=3).words(now) == [7, 8, 97 * DAY_MS]


def test_the_keys_are_one_vendors() -> None:
    names = letter_keys("v-1")
    assert names[0] == keys.DEAD, "the only one that vendors share"
    assert len(set(names)) == len(names)
    assert all("v-1" in name for name in names[1:])
    assert not set(names[1:]) & set(letter_keys("v-2"))
