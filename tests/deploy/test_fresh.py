"""``scripts/test-fresh`` runs commands in a container that has only what it says, and leaves
nothing behind, however it ends."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import ROOT
from tests.eventually import eventually

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="containers are for root alone")

#: In place of debootstrap: a system that has a shell, `cat` and `sleep`.
BARE = """\
while [ "${1#--}" != "$1" ]; do shift; done
root=$2
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/srv" "$root/etc/apt/apt.conf.d" \\
    "$root/etc/dpkg/dpkg.cfg.d"
for program in sh cat sleep; do
    file=$(readlink -f "/bin/$program")
    cp "$file" "$root/bin/$program"
    for library in $(ldd "$file" | grep -o '/lib[^ ]*'); do
        mkdir -p "$root/${library%/*}"
        cp "$library" "$root/$library"
    done
done
"""


#: In place of what tells how this machine fetches packages.
SETTINGS = {
    "apt-get": "",
    "apt-config": "echo 'Acquire::Retries \"3\";'; echo 'APT::Architecture \"amd64\";'",
    "python3": """\
echo ":env:.cert='certificates'"
echo "global.cert='others'"
echo "global.find-links='/wheels'"
echo "global.index-url='https://packages.example.com/simple'\"""",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository that holds the script and a file, and a folder first on PATH."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "test-fresh", folder / "scripts" / "test-fresh")
    (folder / ".gitignore").write_text("/var/\n")
    (folder / "committed").write_text("what is committed\n")
    (folder / "certificates").write_text("those of this machine\n")
    for name, text in {**SETTINGS, "debootstrap": BARE}.items():
        stand_in(tmp_path, name, text)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    (folder / "uncommitted").touch()
    return folder


def stand_in(folder: Path, name: str, text: str) -> None:
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\nset -eu\n{text}\n")
    program.chmod(0o755)


def environment(checkout: Path) -> dict[str, str]:
    path = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SECRET": "of this machine"}


def fresh(checkout: Path, commands: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [checkout / "scripts" / "test-fresh", commands],
        env=environment(checkout),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def left(checkout: Path) -> list[str]:
    """What is in the way of another run, or of removing the checkout."""
    mounts = [m for m in Path("/proc/mounts").read_text().split() if str(checkout) in m]
    return mounts + [str(path) for path in (checkout / "var").glob("fresh/*")]


@as_root
def test_commands_see_the_commit_and_nothing_of_the_machine(checkout: Path) -> None:
    done = fresh(checkout, "cat committed; echo of *; echo ${SECRET-no secret}, $CI; sleep 0")
    assert done.returncode == 0, done.stderr
    assert "what is committed" in done.stdout
    assert "of certificates committed scripts\n" in done.stdout, "not what is not committed"
    assert "no secret, true\n" in done.stdout
    assert "what is not committed is left out" in done.stderr
    assert left(checkout) == []


@as_root
def test_packages_are_fetched_as_the_machine_does(checkout: Path) -> None:
    """But for folders of packages that only this machine has."""
    done = fresh(checkout, "cat /etc/apt/apt.conf.d/*; cat /etc/pip.conf; cat /etc/*.pem")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:-1] == [
        'Acquire::Retries "3";',
        "[global]",
        "cert = /etc/machine-certificates.pem",
        "index-url = https://packages.example.com/simple",
        "those of this machine",
    ]


@as_root
def test_a_command_that_fails_is_the_last(checkout: Path) -> None:
    done = fresh(checkout, "cat missing; echo went on")
    assert done.returncode != 0
    assert "\nwent on\n" not in done.stdout
    assert "passed" not in done.stdout
    assert left(checkout) == []


@as_root
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_nothing_is_left_when_it_is_ended(checkout: Path, end: signal.Signals) -> None:
    # Whoever starts the tests in the background has them, and so a shell, ignore an interrupt.
    command = ["env", "--default-signal", str(checkout / "scripts" / "test-fresh")]
    with subprocess.Popen(
        [*command, "echo begun; sleep 3600 & sleep 3600; echo went on"],
        env=environment(checkout),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line == "begun\n":
                break
        running.send_signal(end)
        # The pipe ends with the last process that has it.
        assert "went on\n" not in running.stdout.read()
        assert running.wait(20) in (130, -signal.SIGKILL)
    if end == signal.SIGKILL:
        again = fresh(checkout, "echo again")
        assert again.returncode == 0, again.stderr
    await eventually(lambda: left(checkout) == [])


def test_it_says_why_it_cannot_run(checkout: Path) -> None:
    """Here: because of who it is, or what it may not do."""
    stand_in(checkout.parent, "unshare", "exit 1")
    done = fresh(checkout, "echo begun")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("test-fresh: cannot make a container: ")
    assert done.stderr.count("\n") == 1
