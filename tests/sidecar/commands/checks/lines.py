"""Looking at lines."""

from collections.abc import Iterable

from sidecar.commands.checks.line import Level, Line


def levels(lines: Iterable[Line]) -> dict[str, str]:
    """Return how each thing is. What is not well says what to do."""
    found = list(lines)
    for line in found:
        assert line.level is not Level.FAIL or line.do or "class" in line.what, line.text
    assert len({line.what for line in found}) == len(found), "a thing stands there twice"
    return {line.what: line.level.value for line in found}


def named(lines: Iterable[Line], what: str) -> Line:
    [line] = [line for line in lines if line.what == what]
    return line
