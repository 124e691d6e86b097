"""What a benchmark has measured."""

import json
from pathlib import Path
from typing import Any


def publish(figures: dict[str, Any], json_file: Path | None) -> None:
    """Print the figures, and write them to a file if there is one."""
    text = json.dumps(figures, indent=2)
    print(text)
    if json_file:
        json_file.write_text(text + "\n")
