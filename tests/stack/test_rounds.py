from typing import Any

import click
import orjson
import pytest
from click.testing import CliRunner, Result

from simulator.stack.rounds import run_rounds

SEEDS = [40, 41, 42]


def run(failing: int | None = None) -> Result:
    def run_round(seed: int) -> tuple[dict[str, Any], bool]:
        return {"seed": seed}, seed != failing

    @click.command()
    def command() -> None:
        run_rounds(SEEDS, run_round, "nothing was lost")

    return CliRunner().invoke(command)


def seeds(result: Result) -> list[int]:
    return [orjson.loads(line)["seed"] for line in result.stdout.splitlines()]


def test_a_line_for_each_round() -> None:
    result = run()
    assert result.exit_code == 0
    assert seeds(result) == SEEDS
    assert "3 rounds in " in result.stderr
    assert "nothing was lost" in result.stderr


@pytest.mark.parametrize("failing", SEEDS)
def test_a_round_that_fails(failing: int) -> None:
    result = run(failing)
    assert result.exit_code == 1
    assert seeds(result) == SEEDS, "the others are run all the same"
    assert f"1 of 3 rounds failed: seeds [{failing}]" in result.stderr
    assert "nothing was lost" not in result.stderr
