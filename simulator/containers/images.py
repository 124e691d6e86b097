"""Building the images of the stack."""

import json
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from simulator.containers.engine import Engine, EngineFailed
from simulator.containers.machine import CLEAN_CONF, RELEASE, Machine

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 3600.0

#: For dpkg, as Debian's slim images have it: what is left out, and no sync for each file.
_SLIM = """\
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/linda/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
"""
_EXCLUDED = ("doc", "info", "lintian", "locale", "man")
_FROM = re.compile(r"^FROM +(\S+)(?: +AS +(\S+))?", re.M | re.I)


def bases(dockerfile: str) -> set[str]:
    """Return the images that a Dockerfile begins with, without its own stages and ``scratch``."""
    found = _FROM.findall(dockerfile)
    return {image for image, _ in found} - {stage for _, stage in found} - {"scratch"}


def builds(services: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the Dockerfile of each image that is built, by the image's name."""
    return {
        service["image"]: service["build"]["dockerfile"]
        for service in services.values()
        if "build" in service
    }


class Images:
    """Makes images in an engine's storage, where those of the last run are found again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._machine = Machine(engine.folder / "machine")

    def make_bases(self, dockerfiles: Iterable[str]) -> None:
        """Make the images that these Dockerfiles begin with. There is one: Debian, without what
        its slim image leaves out."""
        wanted = {base for name in dockerfiles for base in bases((ROOT / name).read_text())}
        for name in sorted(wanted):
            if not name.startswith("debian:12"):
                raise EngineFailed(f"nothing stands in for the image {name}")
            # The name that engines give to what Docker calls so.
            if not self.id(full := f"docker.io/library/{name}"):
                self._make_debian(full)

    def _make_debian(self, name: str) -> None:
        folder = self._engine.folder / "debian"
        shutil.rmtree(folder, ignore_errors=True)
        self._engine.run(
            ["debootstrap", "--variant=minbase", RELEASE, str(folder), self._machine.mirror],
            timeout_s=BUILD_TIMEOUT_S,
        )
        slim(folder)
        archive = folder.with_suffix(".tar")
        self._engine.run(["tar", "--create", f"--file={archive}", f"--directory={folder}", "."])
        self._engine.podman("import", "--quiet", str(archive), name)
        shutil.rmtree(folder)
        archive.unlink()

    def build(self, name: str, dockerfile: str) -> float:
        """Build an image; return the seconds that it took."""
        began = time.monotonic()
        command = ["buildah", "bud", "--isolation=chroot", "--layers", "--pull-never"]
        command += [*self._machine.volumes(), f"--file={ROOT / dockerfile}", f"--tag={name}"]
        self._engine.run([*command, str(ROOT)], timeout_s=BUILD_TIMEOUT_S)
        return time.monotonic() - began

    def renew(self, name: str) -> None:
        """Make another image of that name, as a build of a newer version does."""
        container = self._engine.run(["buildah", "from", "--pull-never", name]).strip()
        try:
            label = f"--label=made={time.time_ns()}"
            self._engine.run(["buildah", "config", label, container])
            self._engine.run(["buildah", "commit", "--quiet", container, name])
        finally:
            self._engine.run(["buildah", "rm", container])

    def id(self, name: str) -> str:
        """Return an image's id; empty if there is none."""
        return self._engine.podman("images", "--quiet", "--no-trunc", name).strip()

    def megabytes(self, name: str) -> float:
        """Return the size of an image as ``docker images`` shows it: of all its files, unpacked,
        the base's too."""
        [found] = json.loads(self._engine.podman("image", "inspect", name))
        return float(found["Size"]) / 1e6


def slim(folder: Path) -> None:
    """Take from a system that debootstrap has made what Debian's slim image does not have, and
    where this machine got it from."""
    for name in _EXCLUDED:
        for path in (folder / "usr/share" / name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("var/lib/apt/lists", "var/cache/apt", "var/log/apt"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "var/lib/apt/lists/partial").mkdir(parents=True)
    (folder / "var/cache/apt/archives/partial").mkdir(parents=True)
    (folder / "var/log/bootstrap.log").unlink(missing_ok=True)
    (folder / "etc/apt/sources.list").write_text("")
    (folder / "etc/apt/apt.conf.d/docker-clean").write_text(CLEAN_CONF)
    (folder / "etc/dpkg/dpkg.cfg.d/docker").write_text(_SLIM)
    for name in ("etc/resolv.conf", "etc/hostname"):
        (folder / name).write_text("")
