"""What is in force is read as the kernel says it, in either version of control groups."""

import dataclasses

import pytest

from simulator.containers import limits
from simulator.containers.compose import FILE, read_services
from simulator.containers.limits import Confinement, Limits

SERVICES = read_services(FILE)

STATUS = """\
Name:\tredis-server
Uid:\t999\t999\t999\t999
Gid:\t999\t999\t999\t999
Groups:\t999 10001
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
"""
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    0                    bytes
"""
MOUNTS = """\
234 141 0:47 / / ro,relatime - overlay overlay rw,lowerdir=a
235 234 0:48 / /tmp rw,nosuid - tmpfs tmpfs rw
"""
CONFINED = Confinement(
    uid=999,
    gid=999,
    groups=frozenset({999, 10001}),
    capabilities=0,
    no_new_privileges=True,
    core_bytes=0,
    root_mode="ro",
)


def test_a_confined_process() -> None:
    assert limits.confinement(STATUS, LIMITS, MOUNTS) == CONFINED


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (("Uid:\t999\t999\t999", "Uid:\t999\t999\t0"), {"uid": 0}),
        (("Gid:\t999\t0", "Gid:\t999\t0"), {}),
        (("Groups:\t999", "Groups:\t999 0"), {"groups": frozenset({0, 999, 10001})}),
        (("NoNewPrivs:\t1", "NoNewPrivs:\t0"), {"no_new_privileges": False}),
        (("CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400"), {"capabilities": 0x400}),
        (("CapAmb:\t0000000000000000", "CapAmb:\t0000000000000001"), {"capabilities": 1}),
    ],
)
def test_whatever_is_not_confined_shows(status: tuple[str, str], what: dict[str, object]) -> None:
    found = limits.confinement(STATUS.replace(*status), LIMITS, MOUNTS)
    assert found == dataclasses.replace(CONFINED, **what)  # type: ignore[arg-type]


def test_a_root_that_can_be_written_to_and_a_dump_of_memory_show() -> None:
    mounts = MOUNTS.replace("/ ro,", "/ rw,")
    found = limits.confinement(STATUS, LIMITS.replace(" 0 ", " unlimited "), mounts)
    assert found == dataclasses.replace(CONFINED, root_mode="rw", core_bytes=None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/machine/one\n", {"": "machine/one"}),
        (
            "4:cpu,cpuacct:/one\n3:memory:/one\n1:name=systemd:/\n0::/two\n",
            {"cpu": "one", "cpuacct": "one", "memory": "one", "name=systemd": ""},
        ),
    ],
)
def test_control_groups_of_both_versions(text: str, found: dict[str, str]) -> None:
    assert limits.cgroups(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("50000 100000", 0.5), ("max 100000", float("inf")), ("-1 100000", float("inf"))],
)
def test_a_share_of_the_processors(text: str, found: float) -> None:
    assert limits.share(text) == found


def test_what_the_compose_file_wants() -> None:
    assert limits.wanted_limits(SERVICES["prometheus"]) == Limits(512 * 1024**2, 64, 0.5)
    assert limits.wanted_confinement(SERVICES["php"]) == Confinement(
        uid=33,
        gid=33,
        groups=frozenset({33, 10001}),
        capabilities=0,
        no_new_privileges=True,
        core_bytes=0,
        root_mode="ro",
    )
    check = limits.wanted_check(SERVICES["redis"])
    assert check["Interval"] == 10_000_000_000
    assert check["StartPeriod"] == 30_000_000_000
    assert check["Retries"] == 3


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_be_read(name: str) -> None:
    assert limits.wanted_limits(SERVICES[name]).cpus > 0
    assert limits.wanted_confinement(SERVICES[name]).root_mode == "ro"
    assert limits.wanted_check(SERVICES[name])["Test"]
