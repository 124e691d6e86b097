"""Notes that hold for a while."""

from sidecar.php.expiring_map import ExpiringMap


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_note_holds_until_its_time_is_over() -> None:
    clock = Clock()
    notes = ExpiringMap[str](10.0, clock)
    notes.add("a", "one")
    clock.now += 9.9
    assert notes.get("a") == "one"
    clock.now += 0.1
    assert notes.get("a") is None
    assert notes.get("never added") is None


def test_adding_it_again_begins_anew() -> None:
    clock = Clock()
    notes = ExpiringMap[str](10.0, clock)
    notes.add("a", "one")
    clock.now += 6
    notes.add("a", "other")
    clock.now += 6
    assert notes.get("a") == "other"
    assert len(notes) == 1


def test_what_is_over_takes_no_room_once_another_is_added() -> None:
    clock = Clock()
    notes = ExpiringMap[int](10.0, clock)
    for key in range(1000):
        notes.add(key, "")
    clock.now += 10
    notes.add(1000, "")
    assert len(notes) == 1


def test_the_oldest_leaves_where_there_are_too_many() -> None:
    notes = ExpiringMap[str](10.0, Clock(), 2)
    for key in ("a", "b", "a", "c"):
        notes.add(key, key)
    assert [notes.get(key) for key in ("a", "b", "c")] == ["a", None, "c"]


def test_dropping() -> None:
    notes = ExpiringMap[str](10.0, Clock())
    notes.add("a", "one")
    notes.add("b", "two")
    notes.drop("a")
    notes.drop("not there")
    assert (notes.get("a"), notes.get("b")) == (None, "two")
    notes.clear()
    assert len(notes) == 0
