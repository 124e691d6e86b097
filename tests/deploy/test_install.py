"""``scripts/install`` puts in what is pinned, whatever else has been released."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.files import ROOT

WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

#: A build backend that makes the project's editable wheel without anything else.
BACKEND = f"""
import zipfile

def get_requires_for_build_editable(config=None):
    return []

def build_editable(folder, config=None, metadata=None):
    info, name = "project-1.dist-info", "project-1-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 1\\n")
        wheel.writestr(info + "/WHEEL", {WHEEL!r})
        wheel.writestr(info + "/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "project"
version = "1"
"""

#: What an environment has from the start.
ITS_OWN = ("pip", "setuptools", "pkg_resources", "_distutils", "distutils")


class Release:
    """A package index in a folder, and a project that pins what is in it."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.index = folder / "index"
        (self.project / "scripts").mkdir(parents=True)
        (self.project / "requirements").mkdir()
        self.index.mkdir()
        shutil.copy(ROOT / "scripts" / "install", self.project / "scripts" / "install")
        (self.project / "pyproject.toml").write_text(PYPROJECT)
        (self.project / "backend.py").write_text(BACKEND)

    def wheel(self, name: str, version: str, *wants: str, extra: str = "") -> str:
        """Release a package. Return the line that pins it."""
        path = self.index / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        told = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        told += [f"Provides-Extra: {extra}"] if extra else []
        told += [f"Requires-Dist: {wanted}" for wanted in wants]
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{info}/METADATA", "\n".join(told) + "\n")
            wheel.writestr(f"{info}/WHEEL", WHEEL)
            wheel.writestr(f"{info}/RECORD", "")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return f"{name}=={version} --hash=sha256:{digest}"

    def pin(self, file: str, *lines: str) -> None:
        (self.project / "requirements" / f"{file}.txt").write_text("\n".join(lines) + "\n")

    def install(self, what: str) -> "subprocess.CompletedProcess[str]":
        own = {name: text for name, text in os.environ.items() if not name.startswith("PIP_")}
        return subprocess.run(
            [self.project / "scripts" / "install", what],
            env={
                **own,
                "PYTHON": sys.executable,
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.index),
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def installed(self) -> dict[str, str]:
        listed = subprocess.run(
            [self.project / ".venv" / "bin" / "pip", "list", "--format", "freeze"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        pairs = (line.partition("==") for line in listed.stdout.splitlines())
        return {name: version for name, _, version in pairs}

    def clear(self) -> None:
        """Take back what was released, pinned and installed; the environment itself stays, which
        takes the longest to make."""
        own = [*self.index.iterdir(), *(self.project / "requirements").iterdir(), *self.done]
        for packages in (self.project / ".venv").glob("lib/python*/site-packages"):
            own += [path for path in packages.iterdir() if not path.name.startswith(ITS_OWN)]
        for path in own:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def done(self) -> list[Path]:
        return list((self.project / ".venv").glob(".installed-*"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def release(project: Release) -> Release:
    project.clear()
    project.pin("build", project.wheel("tool", "1.0"))
    return project


@pytest.mark.parametrize(("what", "as_"), [("runtime", "measure[toml]"), ("dev", "measure")])
def test_a_newer_release_changes_nothing(release: Release, what: str, as_: str) -> None:
    """Of a package that is pinned, with and without its extra, and of what builds the project."""
    pinned = [
        release.wheel("plugin", "1.0", "measure[toml]>=1", "base"),
        release.wheel("measure", "1.0", "parser; extra == 'toml'", extra="toml").replace(
            "measure==", f"{as_}=="
        ),
        release.wheel("parser", "1.0"),
        release.wheel("base", "1.0"),
    ]
    release.pin(what, *pinned)
    for name in ("plugin", "parser", "base", "tool"):
        release.wheel(name, "2.0")
    release.wheel("measure", "2.0", "parser>=2; extra == 'toml'", extra="toml")

    done = release.install(what)

    assert done.returncode == 0, done.stderr
    names = ("plugin", "measure", "parser", "base", "tool", "project")
    assert {name: release.installed().get(name) for name in names} == {
        **dict.fromkeys(names, "1.0"),
        "project": "1",
    }
    assert len(release.done) == 1


def test_pins_that_lack_something_are_an_error(release: Release) -> None:
    """And what they lack is not fetched."""
    release.pin("dev", release.wheel("plugin", "1.0", "measure>=1"))
    release.wheel("measure", "1.0")
    done = release.install("dev")
    assert done.returncode != 0
    assert "plugin 1.0 requires measure, which is not installed" in done.stderr
    assert "install: requirements/dev.txt" in done.stderr, "what it means, and what to do"
    assert "measure" not in release.installed()
    assert release.done == [], "or the next call would say that all is well"


def test_pins_that_contradict_one_another_are_an_error(release: Release) -> None:
    release.pin(
        "dev", release.wheel("plugin", "1.0", "measure>=2"), release.wheel("measure", "1.0")
    )
    release.wheel("measure", "2.0")
    done = release.install("dev")
    assert done.returncode != 0
    assert "plugin 1.0 has requirement measure>=2, but you have measure 1.0" in done.stderr
    assert release.installed()["measure"] == "1.0"


def test_a_file_that_was_exchanged_is_refused(release: Release) -> None:
    line = release.wheel("plugin", "1.0")
    release.pin("dev", line)
    release.wheel("plugin", "1.0", "other")
    done = release.install("dev")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "plugin" not in release.installed()


def test_what_would_have_to_be_built_is_refused(release: Release) -> None:
    """To build it, pip would fetch whatever it names, in any version."""
    source = release.index / "plugin-1.0.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("plugin-1.0/setup.py", "raise SystemExit('it was run')")
        archive.writestr(
            "plugin-1.0/PKG-INFO", "Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n"
        )
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    release.pin("dev", f"plugin==1.0 --hash=sha256:{digest}")
    done = release.install("dev")
    assert done.returncode != 0
    assert "No matching distribution found for plugin==1.0" in done.stderr
    assert "it was run" not in done.stderr
