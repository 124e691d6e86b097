"""The pinned files alone make an environment that works: what is installed from them without
resolving anything lacks nothing, whatever is released tomorrow."""

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.files import ROOT

PINS = ROOT / "requirements"
FILES = sorted(PINS.glob("*.txt"))

#: Where the files have to be complete: Debian 12's Python, and the newer ones.
ENVIRONMENTS = [
    {
        "python_version": version.rpartition(".")[0],
        "python_full_version": version,
        "platform_machine": machine,
    }
    for version in ("3.11.2", "3.11.14", "3.12.12", "3.13.9", "3.14.0")
    for machine in ("x86_64", "aarch64")
]


@dataclass(frozen=True)
class Pin:
    version: str
    extras: set[str]
    hashes: list[str]


def lines(path: Path) -> list[str]:
    """The lines that say something, continued ones joined."""
    text = re.sub(r"\\\n\s*", "", path.read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(path: Path) -> dict[str, Pin]:
    found: dict[str, Pin] = {}
    for line in lines(path):
        pinned, *hashes = line.split("--hash=")
        requirement = Requirement(pinned.strip())
        (only,) = requirement.specifier
        assert only.operator == "==", line
        assert "*" not in only.version, line
        assert requirement.marker is None, f"not pinned everywhere: {pinned}"
        assert requirement.url is None, line
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} is pinned twice"
        found[name] = Pin(only.version, requirement.extras, hashes)
    return found


def applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a distribution with these extras has the requirement in any environment."""
    if requirement.marker is None:
        return True
    linux = {"sys_platform": "linux", "platform_system": "Linux"}
    return any(
        requirement.marker.evaluate({**linux, **environment, "extra": extra})
        for environment in ENVIRONMENTS
        for extra in ("", *extras)
    )


def lacking(wanted: list[Requirement], extras: set[str], pinned: dict[str, Pin]) -> list[str]:
    """Return which of the requirements the pins do not meet."""
    problems = []
    for requirement in wanted:
        if not applies(requirement, extras):
            continue
        pin = pinned.get(canonicalize_name(requirement.name))
        if pin is None:
            problems.append(f"{requirement}, which is not pinned")
        elif not requirement.specifier.contains(pin.version, prereleases=True):
            problems.append(f"{requirement}, but {pin.version} is pinned")
        elif not requirement.extras <= pin.extras:
            problems.append(f"{requirement}, which is pinned without the extra")
    return problems


def project(file: str) -> list[Requirement]:
    """What the project itself wants of the file."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted: list[str] = {
        "build": found["build-system"]["requires"],
        "runtime": found["project"]["dependencies"],
        "dev": found["project"]["dependencies"] + found["project"]["optional-dependencies"]["dev"],
    }[file]
    return [Requirement(text) for text in wanted]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_whatever_a_pinned_package_wants_is_pinned(file: Path) -> None:
    pinned = pins(file)
    problems = [f"the project wants {text}" for text in lacking(project(file.stem), set(), pinned)]
    for name, pin in pinned.items():
        wanted = [Requirement(text) for text in distribution(name).requires or []]
        problems += [f"{name} wants {text}" for text in lacking(wanted, pin.extras, pinned)]
    assert problems == [], f"requirements/{file.name} is incomplete: make lock"


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_what_is_pinned_is_what_the_tests_run_on(file: Path) -> None:
    """Or the test above looks at the wishes of another version."""
    differing = {
        name: (pin.version, distribution(name).version)
        for name, pin in pins(file).items()
        if distribution(name).version != pin.version
    }
    assert differing == {}, "pinned and installed; scripts/install dev installs what is pinned"


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_file_holds_pins_with_hashes_and_nothing_else(file: Path) -> None:
    assert "://" not in file.read_text(), "an address"
    for line in lines(file):
        assert not line.startswith("-"), line
    for name, pin in pins(file).items():
        assert pin.hashes, f"{name} has no hash"
        for digest in pin.hashes:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest.strip()), f"{name}: {digest}"


def test_a_package_has_one_version_in_all_files() -> None:
    everything = {path.stem: pins(path) for path in FILES}
    assert set(everything) == {"build", "dev", "runtime"}
    assert set(everything["runtime"]) <= set(everything["dev"])
    for name, pin in (everything["runtime"] | everything["build"]).items():
        assert everything["dev"][name].version == pin.version, name


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("given>=1", []),
        ("given>=3", ["given>=3, but 2.0 is pinned"]),
        ("given[toml]", []),
        ("given[yaml]", ["given[yaml], which is pinned without the extra"]),
        ("other", ["other, which is not pinned"]),
        ("other; extra == 'some'", ['other; extra == "some", which is not pinned']),
        ("other; extra == 'unwanted'", []),
        ("other; python_full_version < '3.11.3'", ["which is not pinned"]),
        ("other; python_version < '3.11'", []),
        ("other; sys_platform == 'win32'", []),
    ],
)
def test_what_is_lacking_is_found(wanted: str, said: list[str]) -> None:
    pinned = {"given": Pin("2.0", {"toml"}, [])}
    found = lacking([Requirement(wanted)], {"some"}, pinned)
    assert len(found) == len(said)
    assert all(text.endswith(end) for text, end in zip(found, said, strict=True))
