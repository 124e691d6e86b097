"""Nothing is made of more than six parts: what takes more wants a value of its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "sidecar", "workers", "simulator")
MAX_PARAMETERS = 6


def test_no_constructor_takes_more_than_six_parameters() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name, parameters in constructors(file.read_text())
        if parameters > MAX_PARAMETERS
    }
    assert len(files) > 300
    assert not found


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("self", 0),
        ("self, a, b=1, *, c, d=2", 4),
        ("self, a, /, b, *rest, **more", 2),
    ],
)
def test_parameters_are_counted(signature: str, expected: int) -> None:
    source = f"class One:\n    def __init__({signature}): ...\n    def other(self, a): ...\n"
    assert list(constructors(source)) == [("One", expected)]


def constructors(source: str) -> Iterator[tuple[str, int]]:
    """Yield the classes of a module whose constructor is written out, and how many parameters it
    has besides ``self``."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                given = part.args
                yield node.name, len([*given.posonlyargs, *given.args, *given.kwonlyargs]) - 1
