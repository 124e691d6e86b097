from pathlib import Path

import pytest

import bench.parts
from bench.parts import PARTS, WITHOUT_STACK, load


def test_every_module_is_a_part() -> None:
    [folder] = bench.parts.__path__
    modules = {file.stem for file in Path(folder).glob("*.py")} - {"__init__"}
    assert set(PARTS) == modules
    assert set(PARTS) > WITHOUT_STACK


@pytest.mark.parametrize("name", PARTS)
def test_each_can_be_run(name: str) -> None:
    assert callable(load(name))


def test_an_unknown_part() -> None:
    with pytest.raises(KeyError):
        load("speed")
