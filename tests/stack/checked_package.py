"""The Laravel package with checks in it that PHP itself does not make."""

import subprocess
from pathlib import Path

from simulator.stack.installation import CONTRACTS
from simulator.stack.packages import program

_PROGRAM = Path(__file__).with_name("offsets.php")


def checked_package(folder: Path) -> dict[str, str]:
    """Make the copy in ``folder``, and return the variables with which the reference application
    takes it: there, null as an array offset and what PHP deprecates are errors."""
    subprocess.run(
        [program("php"), str(_PROGRAM), str(CONTRACTS / "laravel"), str(folder)], check=True
    )
    return {"SIDECAR_PACKAGE": str(folder)}
