"""What belongs together has one version."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_laravel_package_has_the_projects_version() -> None:
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    version = (ROOT / "contracts/laravel/src/Support/Version.php").read_text()
    package = re.search(r"PACKAGE = '(.+)';", version)
    assert project is not None
    assert package is not None
    assert package[1] == project[1]
