"""A Debian of another suite in a folder, whose servers run on our files.

To be used in namespaces of one's own (:mod:`tests.matrix.namespace`), which take back the mounts.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.matrix.suites import Suite, machine

#: Changes with how a chroot is made: older ones are made anew.
_RECIPE = "1"
_FOLDERS = ("usr/bin", "usr/sbin")
_PROGRAMS = (
    *("php", "phpunit", "nginx", "redis-server", "valkey-server"),
    *("mariadbd", "mariadb-install-db", "mariadb", "mysqld", "mysql"),
)

_WRAPPER = """\
#!/bin/sh
exec unshare --root='{root}' --wd="$PWD" /{program} "$@"
"""


class ChrootFailed(Exception):
    """A chroot cannot be made. The message is one line."""


class Chroot:
    """The one of a suite, in ``folder/<suite>``. How it was made is in ``folder/<suite>.log``."""

    def __init__(self, folder: Path, suite: Suite) -> None:
        self.root = folder / suite.name
        self.log = folder / f"{suite.name}.log"
        self._suite = suite
        recipe = " ".join([_RECIPE, *suite.packages, *suite.links.values()])
        self._stamp = self.root / f".whole-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"

    @property
    def whole(self) -> bool:
        return self._stamp.exists()

    def make(self) -> None:
        """Make it, unless it is whole. Raises :class:`ChrootFailed`."""
        if self.whole:
            return
        remove(self.root)
        self.root.mkdir(parents=True)
        self.log.write_bytes(b"")
        suite = self._suite.name
        self._run("debootstrap", "--variant=minbase", "--include=ca-certificates", suite,
                  str(self.root), mirror())  # fmt: skip
        self._configure()
        self._mount("-t", "proc", "proc", self.root / "proc")
        self._mount("--rbind", "/dev", self.root / "dev")
        # A mirror may have stood still for a while.
        self._apt("update", "-o", "Acquire::Check-Valid-Until=false")
        self._apt("install", "-y", "--no-install-recommends", *self._suite.packages)
        self._apt("clean")
        for link, target in self._suite.links.items():
            (self.root / link.lstrip("/")).symlink_to(target)
        self._stamp.touch()

    def enter(self, folders: Sequence[Path]) -> None:
        """Mount what programs need, and these folders of ours under the names that they have."""
        for source, target in (("/proc", "proc"), ("/dev", "dev")):
            self._mount("--rbind", source, self.root / target)
        for folder in folders:
            inside = self.root / str(folder).lstrip("/")
            inside.mkdir(parents=True, exist_ok=True)
            if not self.root.is_relative_to(folder):
                # What tests mount in it later is then there inside, too.
                self._mount("--rbind", folder, folder)
                self._mount("--make-shared", folder)
            self._mount("--bind", folder, inside)

    def wrap(self, folder: Path) -> None:
        """Write a program into ``folder`` for each of the chroot's that the stack uses."""
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name: path for path in self._programs()}
        if "redis-server" not in found and "valkey-server" in found:
            found["redis-server"] = found["valkey-server"]
        for name, path in found.items():
            wrapper = folder / name
            program = path.relative_to(self.root)
            wrapper.write_text(_WRAPPER.format(root=self.root, program=program))
            wrapper.chmod(0o755)

    def _programs(self) -> Iterator[Path]:
        for folder in _FOLDERS:
            for pattern in (*_PROGRAMS, "php-fpm[0-9]*"):
                yield from (self.root / folder).glob(pattern)

    def _configure(self) -> None:
        for name in ("resolv.conf", "hosts", "ssl/certs/ca-certificates.crt"):
            ours = Path("/etc", name)
            if ours.exists():
                shutil.copyfile(ours, self.root / "etc" / name)
        proxies = self.root / "etc/apt/apt.conf.d/00machine"
        proxies.write_text("\n".join(_apt_settings()) + "\n")
        # Debian starts a service as soon as it is installed, unless this file says no.
        policy = self.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)

    def _apt(self, *arguments: str) -> None:
        self._run("chroot", str(self.root), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C",
                  "apt-get", "-qq", *arguments)  # fmt: skip

    def _mount(self, *arguments: str | Path) -> None:
        self._run("mount", *map(str, arguments))

    def _run(self, *command: str) -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            what = " ".join(command[:2])
            raise ChrootFailed(f"{what} has failed ({done.returncode}), see {self.log}")


def remove(folder: Path) -> None:
    """Remove a chroot. Raises :class:`ChrootFailed` where something is mounted in it, which would
    be emptied as well."""
    if mounted := list(mounts_in(folder)):
        raise ChrootFailed(f"something is mounted at {mounted[-1]}: umount it first")
    if folder.exists():
        shutil.rmtree(folder)


def mounts_in(folder: Path) -> Iterator[str]:
    """Yield where something is mounted in a folder, in the order in which it was."""
    prefix = f"{folder.resolve()}{os.sep}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4].encode().decode("unicode_escape")
        if f"{place}{os.sep}".startswith(prefix):
            yield place


def mirror() -> str:
    """Return where this machine's own packages come from. Raises :class:`ChrootFailed`."""
    form = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        release, component, uri = line.split()
        if (release, component) == (machine(), "main"):
            return uri
    raise ChrootFailed(f"apt knows no Debian mirror with {machine()} main")


def _apt_settings() -> Iterator[str]:
    """Yield the machine's settings of how apt reaches its mirror: proxies and certificates."""
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith(("Acquire::http", "Acquire::https")) and not line.endswith('"";'):
            yield line
