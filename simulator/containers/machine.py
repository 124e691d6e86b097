"""How this machine reaches packages, for builds: handed in when an image is built, and in no image.

The folders replace ones that each image has, so that not even a mount point is left.
"""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

#: What apt of this machine says of an index, with tabs in between.
_INDEX = "$(ORIGIN)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)"
RELEASE = "bookworm"

#: As Debian's images have it: no archive and no cache of apt stays in a layer.
CLEAN_CONF = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
"""
#: Of pip's settings: where it looks, and by what way.
_PIP = ("index-url", "extra-index-url", "proxy", "trusted-host", "timeout")


class MachineLacks(Exception):
    """This machine cannot say where packages come from."""


def debian_indexes(said: str) -> list[tuple[str, str, str]]:
    """Return address, release and component of each of Debian's own indexes for this release in
    what ``apt-get indextargets`` has said."""
    found = [line.split("\t") for line in said.splitlines()]
    return sorted(
        {
            (address, release, component)
            for origin, address, release, component in found
            if origin == "Debian" and release.partition("-")[0] == RELEASE
        }
    )


def pip_settings(listed: str) -> dict[str, str]:
    """Return those of pip's settings, as ``pip config list`` lists them, that say where it looks;
    folders of this machine are left out."""
    found = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        places = [place for place in value.strip("'\"").split() if "file:" not in place]
        if option in _PIP and places:
            found[option] = " ".join(places)
    return found


class Machine:
    """Writes what builds need into ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.indexes = _indexes()

    @property
    def mirror(self) -> str:
        """Where the base of a system comes from."""
        return next(address for address, release, _ in self.indexes if release == RELEASE)

    def volumes(self) -> list[str]:
        """Return the folders that a build mounts, as options."""
        shutil.rmtree(self._folder, ignore_errors=True)
        sources, settings, home = (self._folder / name for name in ("sources", "apt", "home"))
        for folder in (sources, settings, home / ".config" / "pip"):
            folder.mkdir(parents=True)
        lines = [f"deb {address} {release} {part}\n" for address, release, part in self.indexes]
        (sources / "machine.list").write_text("".join(lines))
        acquire = _said("apt-config", "dump", "Acquire")
        (settings / "00machine").write_text(acquire)
        (settings / "docker-clean").write_text(CLEAN_CONF)
        self._write_pip(home)
        mounts = {"/etc/apt/sources.list.d": sources, "/etc/apt/apt.conf.d": settings}
        return [f"--volume={f}:{t}:ro" for t, f in (mounts | {"/root": home}).items()]

    def _write_pip(self, home: Path) -> None:
        config = configparser.RawConfigParser()
        config["global"] = pip_settings(_said("pip", "config", "list"))
        bundle = Path(os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt"))
        if bundle.exists():
            shutil.copy(bundle, home / "certificates.crt")
            config["global"]["cert"] = "/root/certificates.crt"
        with (home / ".config" / "pip" / "pip.conf").open("w") as file:
            config.write(file)


def _indexes() -> list[tuple[str, str, str]]:
    command = ("apt-get", "indextargets", "Created-By: Packages", "--format", _INDEX)
    found = debian_indexes(_said(*command))
    if not found:
        _said("apt-get", "update", "-qq")
        found = debian_indexes(_said(*command))
    if not any(release == RELEASE for _, release, _ in found):
        raise MachineLacks(f"apt of this machine knows no packages of {RELEASE}")
    return found


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise MachineLacks(f"{' '.join(command[:2])} failed: {done.stderr.strip()}")
    return done.stdout
