"""What problems have in common."""

from sidecar.ops.problem import MAX_NAMED, Code, Problem, folded, named, unnamed


def test_few_are_named() -> None:
    names = [f"v{number}" for number in range(MAX_NAMED + 2)]
    assert named(names[:2]) == "v0, v1"
    assert named(names) == "v0, v1, v2, v3, v4 and 2 more"


def test_what_follows_from_another_stands_with_it() -> None:
    full = Problem(Code.REDIS_FULL, "It is full", "Empty it.")
    away = Problem(Code.PHP_UNAVAILABLE, "It is away", "Start it.")
    waits = Problem(Code.MESSAGE_WAITS, "It waits", "Wait.", cause=Code.PHP_UNAVAILABLE)
    assert folded([full, away, waits]) == [(full, []), (away, [waits])]


def test_what_is_not_named_is_counted() -> None:
    assert list(unnamed(Code.MESSAGE_WAITS, MAX_NAMED, "{} more")) == []
    [problem] = unnamed(Code.MESSAGE_WAITS, MAX_NAMED + 1200, "{} more")
    assert problem.what == "1,200 more"
