"""Notes that hold for a while."""

from sidecar.php.expiring_map import ExpiringMap


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_note_holds_until_its_time_is_over() -> None:
    clock = Clock()
    values = ExpiringMap[str](10.0, clock)
    values.add("a", "one")
    clock.now += 9.9
    assert values.get("a") == "one"
    clock.now += 0.1
    assert values.get("a") is None
    assert values.get("never added") is None


def test_adding_it_again_begins_anew() -> None:
    clock = Clock()
    values = ExpiringMap[str](10.0, clock)
    values.add("a", "one")
    clock.now += 6
    values.add("a", "other")
    clock.now += 6
    assert values.get("a") == "other"
    assert len(values) == 1


def test_what_is_over_takes_no_room_once_another_is_added() -> None:
    clock = Clock()
    values = ExpiringMap[int](10.0, clock)
    for key in range(1000):
        values.add(key, "")
    clock.now += 10
    values.add(1000, "")
    assert len(values) == 1


def test_the_oldest_leaves_where_there_are_too_many() -> None:
    values = ExpiringMap[str](10.0, Clock(), 2)
    for key in ("a", "b", "a", "c"):
        values.add(key, key)
    assert [values.get(key) for key in ("a", "b", "c")] == ["a", None, "c"]


def test_dropping() -> None:
    values = ExpiringMap[str](10.0, Clock())
    values.add("a", "one")
    values.add("b", "two")
    values.drop("a")
    values.drop("not there")
    assert (values.get("a"), values.get("b")) == (None, "two")
    values.clear()
    assert len(values) == 0
