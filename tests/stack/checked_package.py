"""The Laravel package with checks in it that PHP itself does not make."""

import subprocess
from pathlib import Path

from simulator.stack.installation import CONTRACTS
from simulator.stack.packages import program

_PROGRAM = Path(__file__).with_name("offsets.php")

_COPY = "require $argv[1]; WhatsappSidecar\\Stack\\Offsets::copy($argv[2], $argv[3]);"


def checked_copy(package: Path, folder: Path) -> None:
    """Copy a package, and have its array offsets checked."""
    command = [program("php"), "-r", _COPY, "--", str(_PROGRAM), str(package), str(folder)]
    subprocess.run(command, check=True)


def checked_package(folder: Path) -> dict[str, str]:
    """Make the copy in ``folder``, and return the variables with which the reference application
    takes it: there, null as an array offset and what PHP deprecates are errors."""
    checked_copy(CONTRACTS / "laravel", folder)
    return {"SIDECAR_PACKAGE": str(folder)}
