"""Prometheus's own tool."""

import shutil
import subprocess
from pathlib import Path

from tests.nginx.packages import require


def promtool(*arguments: str | Path, content: str | None = None) -> None:
    """Have it look at something, and fail with what it says."""
    program = require("promtool", shutil.which("promtool"), "prometheus")
    done = subprocess.run(
        [program, *map(str, arguments)],
        input=content,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lint" not in done.stderr, done.stderr
