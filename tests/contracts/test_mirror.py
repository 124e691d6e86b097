"""Tests mirror the tree: each module has a test module of its name, in the same place."""

from pathlib import Path

import pytest

from tests.conftest import LONG, SERVERS, SLOW

ROOT = Path(__file__).parents[2]

#: Modules without behaviour of their own, and where what they say is held to be true.
ELSEWHERE = {
    "sidecar/commands/demo.py": "tests/sidecar/commands/test_program.py",
    "sidecar/commands/simulate.py": "tests/sidecar/commands/test_program.py",
    "sidecar/commands/worker.py": "tests/sidecar/commands/test_program.py",
    # Fields and names, which the console's tests use.
    "sidecar/console/console.py": "tests/sidecar/console/test_app.py",
    "sidecar/console/cookies.py": "tests/sidecar/console/test_sign_in.py",
    "sidecar/console/paths.py": "tests/sidecar/console/test_app.py",
    # Fields, which the runs use.
    "workers/sending/services.py": "tests/workers/test_runtime.py",
}


def modules() -> list[str]:
    found = [file for top in ("sidecar", "workers") for file in (ROOT / top).rglob("*.py")]
    return sorted(str(f.relative_to(ROOT)) for f in found if not f.name.startswith("__"))


def named_after(module: str) -> list[Path]:
    path = Path(module)
    return list((ROOT / "tests" / path.parent).glob(f"test_{path.stem}*.py"))


@pytest.mark.parametrize("module", modules())
def test_each_module_has_tests_of_its_name(module: str) -> None:
    if module in ELSEWHERE:
        assert (ROOT / ELSEWHERE[module]).exists()
        assert not named_after(module), "it need not stand in the list any more"
    else:
        assert named_after(module)


def test_the_list_names_modules_that_are_there() -> None:
    assert set(ELSEWHERE) <= set(modules())


def test_rooms_of_tests_are_rooms_of_the_code() -> None:
    rooms = {file.parent for top in ("sidecar", "workers") for file in (ROOT / top).rglob("*.py")}
    tests = {
        file.parent
        for top in ("sidecar", "workers")
        for file in (ROOT / "tests" / top).rglob("test_*.py")
    }
    assert {room.relative_to(ROOT / "tests") for room in tests} <= {
        room.relative_to(ROOT) for room in rooms
    }


@pytest.mark.parametrize("prefix", [*LONG, *SERVERS, *SLOW])
def test_what_make_test_fast_leaves_out_is_there(prefix: str) -> None:
    file, _, name = prefix.partition("::")
    assert (ROOT / file).exists()
    assert not name or f"def {name}" in (ROOT / file).read_text()
