"""What is made of a chroot and around it; making one is for ``make test-matrix``."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.matrix import chroot as module
from tests.matrix.chroot import Chroot, ChrootFailed, mirror, remove
from tests.matrix.suites import SUITES
from tests.matrix.test_namespace import RUN, as_root

REPOSITORY = Path(__file__).resolve().parents[2]
TRIXIE = SUITES["trixie"]


@pytest.fixture
def chroot(tmp_path: Path) -> Chroot:
    """One with a few programs that a shell finds."""
    made = Chroot(tmp_path / "chroots", TRIXIE)
    for program in ("usr/bin/php", "usr/sbin/php-fpm8.4", "usr/bin/phpize", "usr/bin/bash"):
        path = made.root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return made


def test_wrappers_are_for_what_the_stack_uses_and_the_chroot_has(
    chroot: Chroot, tmp_path: Path
) -> None:
    chroot.wrap(tmp_path / "bin")
    assert {file.name for file in (tmp_path / "bin").iterdir()} == {"php", "php-fpm8.4"}
    assert all(os.access(file, os.X_OK) for file in (tmp_path / "bin").iterdir())


def test_valkey_is_redis_where_there_is_no_redis(chroot: Chroot, tmp_path: Path) -> None:
    (chroot.root / "usr/bin/valkey-server").touch()
    chroot.wrap(tmp_path / "bin")
    assert "/usr/bin/valkey-server" in (tmp_path / "bin" / "redis-server").read_text()
    (chroot.root / "usr/bin/redis-server").touch()
    chroot.wrap(tmp_path / "bin")
    assert "/usr/bin/redis-server" in (tmp_path / "bin" / "redis-server").read_text()


@as_root
def test_a_wrapper_keeps_folder_arguments_and_process(tmp_path: Path) -> None:
    """In a chroot that is this machine's own."""
    made = Chroot(tmp_path, TRIXIE)
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "sh"
    wrapper.write_text(module._WRAPPER.format(root="/", program="bin/sh"))
    wrapper.chmod(0o755)
    script = 'pwd; echo "$$" "$@"'
    with subprocess.Popen(
        [wrapper, "-c", script, "sh", "a b", "*"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        said, _ = process.communicate(timeout=20)
    assert said == f"{tmp_path}\n{process.pid} a b *\n"
    assert not made.whole


def test_it_is_made_anew_when_what_it_needs_has_changed(chroot: Chroot, tmp_path: Path) -> None:
    chroot._stamp.touch()
    assert chroot.whole
    chroot.make()
    assert (chroot.root / "usr/bin/php").exists()
    for other in (
        replace(TRIXIE, redis="valkey-server"),
        replace(TRIXIE, links={"/usr/share/a": "b"}),
        replace(TRIXIE, links={"/usr/share/b": "b"}),
    ):
        assert not Chroot(tmp_path / "chroots", other).whole


def test_what_fails_is_said_in_one_line(
    chroot: Chroot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing = tmp_path / "bin" / "debootstrap"
    failing.parent.mkdir()
    failing.write_text("#!/bin/sh\necho no such mirror\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{failing.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "mirror", lambda: "http://mirror.invalid")
    with pytest.raises(ChrootFailed, match=r"^debootstrap --.* has failed \(3\), see .*\.log$"):
        chroot.make()
    assert chroot.log.read_text() == "no such mirror\n"
    assert not chroot.whole


TARGETS = """\
nodistro main https://example.org/node/
bookworm contrib http://one.example.org/debian/
bookworm-updates main http://two.example.org/debian/
bookworm main http://three.example.org/debian/
"""


def test_the_mirror_is_the_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(f"#!/bin/sh\ncat <<'end'\n{TARGETS}end\n")
    apt_get.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "machine", lambda: "bookworm")
    assert mirror() == "http://three.example.org/debian/"
    monkeypatch.setattr(module, "machine", lambda: "")
    with pytest.raises(ChrootFailed, match="apt knows no Debian mirror"):
        mirror()


REMOVE = """\
import subprocess, sys
from pathlib import Path
from tests.matrix.chroot import ChrootFailed, remove
chroot, ours = map(Path, sys.argv[1:])
subprocess.run(["mount", "--bind", ours, chroot / "our files"], check=True)
try:
    remove(chroot)
except ChrootFailed as error:
    print(error)
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A chroot, and a folder of ours with a file."""
    chroot, ours = tmp_path / "chroot", tmp_path / "ours"
    (chroot / "our files").mkdir(parents=True)
    ours.mkdir()
    (ours / "precious").touch()
    return chroot, ours


@as_root
def test_it_is_not_removed_while_something_is_mounted_in_it(folders: tuple[Path, Path]) -> None:
    chroot, ours = folders
    said = _in_namespace(sys.executable, "-c", REMOVE, str(chroot), str(ours))
    assert said == f"something is mounted at {chroot}/our files: umount it first\n"
    assert (ours / "precious").exists()
    assert chroot.exists()
    remove(chroot)
    assert not chroot.exists()
    remove(chroot)


@as_root
def test_make_clean_unmounts_first(folders: tuple[Path, Path]) -> None:
    chroot, ours = folders
    script = (
        f"mount --bind '{ours}' '{chroot}/our files'; mount -t tmpfs mine '{chroot}';"
        f"scripts/unmount '{chroot}' && rm -r '{chroot}' && echo removed"
    )
    assert _in_namespace("sh", "-c", script) == "removed\n"
    assert (ours / "precious").exists()
    assert not chroot.exists()
    recipe = (REPOSITORY / "Makefile").read_text().partition("\nclean:")[2].splitlines()
    assert recipe[1] == "\t@scripts/unmount var"


def _in_namespace(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
