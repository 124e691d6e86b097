"""podman with storage, networks and settings of its own in one folder, nothing of the machine's."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: What the machine must have; scripts/install-containers brings it.
PROGRAMS = ("podman", "buildah", "runc", "debootstrap", "iptables", "catatonit")
#: How long anything that is asked of podman may take.
TIMEOUT_S = 300.0

#: The timers of health checks need systemd: :mod:`simulator.containers.stack` has the checks run.
#: A container that was killed is started again by a podman that is told the storage, has nothing of
#: the environment but this file, and looks for its containers in the storage's folder.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]
[engine]
env = ["DISABLE_HC_SYSTEMD=true"]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "{folder}/storage/libpod"
volume_path = "{folder}/volumes"
tmp_dir = "{folder}/run/libpod"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run/storage"
"""
#: Docker gives a read-only container no folder that can be written to but those that are named.
#: What containers.conf says of ulimits is forgotten where the compose file names one.
_PODMAN = """\
#!/bin/sh
if [ "$1" = create ]; then
    shift
    set -- create --read-only-tmpfs=false --pull=never \\
        --ulimit=nofile={nofile}:{nofile} --ulimit=nproc={nproc}:{nproc} "$@"
fi
exec podman "$@"
"""


class EngineFailed(Exception):
    """podman, or what it has run, has failed. The message has what it said."""


def why_not() -> str | None:
    """Return in one line why containers cannot be run here; None if they can."""
    if os.geteuid() != 0:
        return "needs root: it makes containers with their networks and file systems"
    if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"lacks {', '.join(lacking)}: run scripts/install-containers as root"
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        return "needs a kernel with overlayfs"
    return None


class Engine:
    """Images stay in ``folder`` for the next run; :meth:`clean` removes everything else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        #: Of whatever is run with this engine.
        self.environment = {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            # What is under way when a build is interrupted.
            "TMPDIR": str(folder / "tmp"),
        }
        names = {
            "folder": folder,
            # Those of podman are above what some machines allow.
            "nofile": min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536),
            "nproc": 4096,
        }
        (folder / "containers.conf").write_text(_CONTAINERS_CONF.format(**names))
        (folder / "storage.conf").write_text(_STORAGE_CONF.format(**names))
        #: podman as programs that were made for Docker expect it.
        self.program = folder / "podman"
        self.program.write_text(_PODMAN.format(**names))
        self.program.chmod(0o755)

    def podman(self, *arguments: str, timeout_s: float = TIMEOUT_S) -> str:
        """Run podman and return what it writes. Raises :class:`EngineFailed`."""
        return self.run(["podman", *arguments], timeout_s=timeout_s)

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> str:
        """Run any program with this engine's settings."""
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EngineFailed(f"{_shown(command)} takes over {timeout_s:.0f} s") from None
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise EngineFailed(f"{_shown(command)} failed:\n{said}")
        return done.stdout

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what podman knows of a container."""
        [found] = json.loads(self.podman("container", "inspect", container))
        return dict(found)

    def ids(self, what: str) -> list[str]:
        """Return the ids of all containers, volumes or networks (``container`` and so on)."""
        every = ["--all"] if what == "container" else []
        return self.podman(what, "ls", *every, "--quiet").split()

    def clean(self) -> None:
        """Remove all containers, volumes, networks and mounts. May be called at any time."""
        if containers := self.ids("container"):
            self.podman("rm", "--force", "--time", "0", "--volumes", *containers)
        self.run(["buildah", "rm", "--all"])
        if volumes := self.ids("volume"):
            self.podman("volume", "rm", "--force", *volumes)
        for network in self._networks():
            self.podman("network", "rm", "--force", network)
        for mount in reversed(self.mounts()):
            self.run(["umount", "--lazy", mount])
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        for unfinished in (self.folder / "tmp").iterdir():
            shutil.rmtree(unfinished, ignore_errors=True)

    def left(self) -> list[str]:
        """Return what there still is of containers, volumes, networks and mounts. Asking podman
        mounts its storage, so mounts are looked for first."""
        mounts = [f"mount {mount}" for mount in self.mounts()]
        found = [f"{what} {one}" for what in ("container", "volume") for one in self.ids(what)]
        found += [f"network {name}" for name in self._networks()]
        for mount in reversed(self.mounts()):
            self.run(["umount", "--lazy", mount])
        return mounts + found

    def mounts(self) -> list[str]:
        """Return what is mounted below the folder, the outermost first."""
        return mounts_below(self.folder, Path("/proc/self/mountinfo").read_text())

    def _networks(self) -> list[str]:
        names = self.podman("network", "ls", "--format", "{{.Name}}").split()
        return [name for name in names if name != "podman"]


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Return the mount points below a folder, the outermost first."""
    points = [line.split()[4] for line in mountinfo.splitlines()]
    return sorted(point for point in points if Path(point).is_relative_to(folder))


def _shown(command: Sequence[str]) -> str:
    return " ".join(command[:4]) + (" ..." if len(command) > 4 else "")
