"""``sidecar worker``, ``simulate`` and ``demo``: they become another program."""

import os
import sys

import pytest
from click.testing import CliRunner

from sidecar.commands.main import main


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (("worker", "messages", "statuses"), ("workers", "messages", "statuses")),
        (("worker", "--help"), ("workers", "--help")),
        (("simulate", "cloud-api", "--rate", "80"), ("simulator", "cloud-api", "--rate", "80")),
        (
            ("demo", "--messages", "5", "--json", "-"),
            ("simulator", "demo", "--messages", "5", "--json", "-"),
        ),
        (("demo", "-h"), ("simulator", "demo", "-h")),
    ],
)
def test_what_is_not_ours_runs_in_our_place(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], module: tuple[str, ...]
) -> None:
    """With every argument as it was given, and without a process in between."""
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, argv: became.append((path, argv)))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert became == [(sys.executable, [sys.executable, "-m", *module])]
