"""What problems have in common."""

from sidecar.ops.problem import MAX_NAMED, Code, named, unnamed


def test_few_are_named() -> None:
    names = [f"v{number}" for number in range(MAX_NAMED + 2)]
    assert named(names[:2]) == "v0, v1"
    assert named(names) == "v0, v1, v2, v3, v4 and 2 more"


def test_what_is_not_named_is_counted() -> None:
    assert list(unnamed(Code.MESSAGE_WAITS, MAX_NAMED, "{} more")) == []
    [problem] = unnamed(Code.MESSAGE_WAITS, MAX_NAMED + 1200, "{} more")
    assert problem.what == "1,200 more"
