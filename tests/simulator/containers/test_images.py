"""What images are made of, and what a slim system lacks."""

from pathlib import Path

from simulator.containers.compose import FILE, OVERRIDE, read_services
from simulator.containers.images import ROOT, bases, builds, slim


def test_bases_are_no_stages() -> None:
    text = "FROM debian:12 AS build\nRUN true\nFROM build\nFROM scratch\nfrom other:1 as last\n"
    assert bases(text) == {"debian:12", "other:1"}


def test_every_image_has_the_same_base() -> None:
    services = {**read_services(FILE)}
    for name, one in read_services(OVERRIDE).items():
        services[name] = services[name] | one
    found = builds(services)
    assert found.keys() == {service["image"] for service in services.values()}
    assert {base for name in found.values() for base in bases((ROOT / name).read_text())} == {
        "debian:12.12-slim"
    }


def test_a_slim_system(tmp_path: Path) -> None:
    for name in ("doc", "info", "lintian", "locale", "man"):
        folder = tmp_path / "usr/share" / name / "something"
        folder.mkdir(parents=True)
        (folder / "file").touch()
    for name in ("etc/apt/apt.conf.d", "etc/dpkg/dpkg.cfg.d", "var/lib/apt/lists", "var/log"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "var/lib/apt/lists/mirror_Packages").touch()
    for name in ("etc/apt/sources.list", "etc/resolv.conf", "etc/hostname"):
        (tmp_path / name).write_text("of this machine")
    slim(tmp_path)
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any("of this machine" in text for text in texts)
    assert not list((tmp_path / "usr/share").rglob("something"))
    assert not (tmp_path / "var/lib/apt/lists/mirror_Packages").exists()
    assert (tmp_path / "var/lib/apt/lists/partial").is_dir(), "apt needs it"
