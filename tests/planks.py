"""A stage with nothing on it, for tests of commands that run rounds."""

from types import SimpleNamespace
from typing import Any, Self

import pytest


class Planks:
    """Takes what any stage takes, and keeps it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.arguments, self.options = arguments, options
        self.installation = SimpleNamespace(description=lambda: "a stage of planks")
        self.clocks = SimpleNamespace(names={"redis"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def set_up(monkeypatch: pytest.MonkeyPatch, module: Any, stage: str) -> None:
    """Have a command find its stage, which it calls so, wherever it runs."""
    monkeypatch.setattr(module, "require_stack", lambda: None)
    monkeypatch.setattr(module, stage, Planks)
