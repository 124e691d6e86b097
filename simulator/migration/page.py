"""What MIGRATION.md has to be done: the commands of its steps."""

import re
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[2] / "MIGRATION.md"

_TITLE = re.compile(r"## (Step \d+, .*|All the way back)")


@dataclass(slots=True)
class Step:
    """``commands`` are those of its ``sh`` blocks, ``back`` those of its ``sh back`` blocks."""

    title: str
    commands: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)


def read_page(path: Path = PAGE) -> list[Step]:
    """Return the steps, in their order. The last one is all the way back."""
    steps: list[Step] = []
    into: list[str] | None = None
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            title = _TITLE.fullmatch(line)
            if title:
                steps.append(Step(title[1]))
        elif line.startswith("```sh"):
            into = steps[-1].back if line == "```sh back" else steps[-1].commands
        elif line.startswith("```"):
            into = None
        elif into is not None and line:
            into.append(line)
    return steps
