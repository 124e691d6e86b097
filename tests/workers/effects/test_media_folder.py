"""The folder of fetched media."""

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from workers.effects.media_folder import MediaFolder, Part, Stored, extension_of, is_name

AT = 1_700_000_000_000
BYTES = b"a video of a customer's"


@pytest.fixture
def folder(tmp_path: Path) -> MediaFolder:
    return MediaFolder(tmp_path, free_bytes=0)


def write(folder: MediaFolder, content: bytes = BYTES, effect_id: str = "e") -> Part:
    part = folder.begin(effect_id, len(content))
    part.write(content[:5])
    part.write(content[5:])
    return part


def dead(folder: MediaFolder, effect_id: str) -> None:
    """Leave a part, as a process does that dies."""
    part = write(folder, effect_id=effect_id)
    part._close()


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def test_a_file_has_its_name_when_it_is_whole(folder: MediaFolder, tmp_path: Path) -> None:
    part = write(folder)
    [on_its_way] = files(tmp_path)
    assert on_its_way.startswith(".parts/e.")
    stored = part.keep("v", "e", "video/mp4", AT)
    assert stored == Stored("v/2023-11/e.mp4", len(BYTES), hashlib.sha256(BYTES).hexdigest())
    assert files(tmp_path) == [stored.path]
    assert (tmp_path / stored.path).read_bytes() == BYTES
    part.discard()
    assert files(tmp_path) == [stored.path]


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000])
def test_php_may_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Folders hand the group on, as the uppermost one does."""
    root = tmp_path / "media"
    root.mkdir()
    root.chmod(0o2770)
    before = os.umask(umask)
    try:
        stored = write(MediaFolder(root, free_bytes=0)).keep("v", "e", None, AT)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    path = root / stored.path
    assert path.stat().st_mode & 0o7777 == 0o640
    assert {folder.stat().st_mode & 0o7777 for folder in path.parents[:2]} == {0o2770}


def test_what_is_there_already_is_found(folder: MediaFolder, tmp_path: Path) -> None:
    assert folder.find("v", "e", "video/mp4") is None
    stored = write(folder).keep("v", "e", "video/mp4", AT)
    assert folder.find("v", "e", "video/mp4") == stored
    assert folder.find("v", "other", "video/mp4") is None
    assert folder.find("w", "e", "video/mp4") is None
    (tmp_path / "v" / "not a month").mkdir()
    (tmp_path / "v" / "not a month" / "x.mp4").write_bytes(b"")
    assert folder.find("v", "x", "video/mp4") is None


def test_a_file_on_its_way_is_discarded(folder: MediaFolder, tmp_path: Path) -> None:
    part = write(folder)
    part.discard()
    part.discard()
    part.write(b"late, from a thread")
    with pytest.raises(OSError, match="discarded"):
        part.keep("v", "e", None, AT)
    assert files(tmp_path) == []


def test_a_new_attempt_removes_what_an_earlier_one_has_left(
    folder: MediaFolder, tmp_path: Path
) -> None:
    dead(folder, "e")
    dead(folder, "f")
    write(folder, b"again").keep("v", "e", None, AT)
    [other, stored] = files(tmp_path)
    assert other.startswith(".parts/f.")
    assert (tmp_path / stored).read_bytes() == b"again"


def test_old_parts_are_removed_and_nothing_else(folder: MediaFolder, tmp_path: Path) -> None:
    assert folder.remove_parts(60) == 0
    dead(folder, "old")
    dead(folder, "young")
    parts = tmp_path / ".parts"
    (parts / "somebody-elses.part").write_bytes(b"")
    (parts / "notes.txt").write_bytes(b"")
    stored = write(folder, effect_id="kept").keep("v", "kept", None, AT)
    for path in [*parts.iterdir(), tmp_path / stored.path]:
        if not path.name.startswith("young"):
            os.utime(path, (1, 1))
    assert folder.remove_parts(60) == 1
    left = [name.split(".")[1].removeprefix("parts/") for name in files(tmp_path)[:-1]]
    assert left == ["notes", "somebody-elses", "young"]
    assert files(tmp_path)[-1] == stored.path


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_room_is_left_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(9_000, 0, 5_000))
    folder = MediaFolder(tmp_path, free_bytes=4_000)
    folder.begin("e", 1_000).discard()
    with pytest.raises(OSError, match="5000 bytes are free") as raised:
        folder.begin("e", 1_001)
    assert raised.value.errno == errno.ENOSPC
    assert files(tmp_path) == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """It may be a disk that is not mounted."""
    folder = MediaFolder(tmp_path / "gone", free_bytes=0)
    assert folder.find("v", "e", None) is None
    assert folder.remove_parts(0) == 0
    with pytest.raises(FileNotFoundError):
        folder.begin("e", 1)
    assert list(tmp_path.iterdir()) == []


def test_names_are_on_disk_before_anybody_hears_of_them(
    folder: MediaFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename, fsync = os.rename, os.fsync

    def renamed(source: Any, target: Any) -> None:
        done.append("rename")
        rename(source, target)

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        name = "part" if path.suffix == ".part" else str(path.relative_to(tmp_path))
        done.append(f"sync {name}")
        fsync(descriptor)

    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    write(folder).keep("v", "e", None, AT)
    assert done == ["sync part", "sync .", "sync v", "rename", "sync v/2023-11"]
    done.clear()
    folder.find("v", "e", None)
    assert done == ["sync v/2023-11"]


@pytest.mark.parametrize(
    ("mime_type", "extension"),
    [
        ("image/jpeg", ".jpg"),
        ("IMAGE/PNG", ".png"),
        ("image/webp", ".webp"),
        ("audio/ogg; codecs=opus", ".ogg"),
        ("audio/mp4", ".m4a"),
        ("video/mp4", ".mp4"),
        ("video/3gpp", ".3gp"),
        ("application/pdf", ".pdf"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
        ("application/vnd.ms-excel", ".xls"),
        ("text/plain", ".txt"),
        # Nothing that a web server would run, or a browser.
        ("application/x-httpd-php", ".bin"),
        ("text/x-python", ".bin"),
        ("text/html", ".bin"),
        ("image/svg+xml", ".bin"),
        ("application/javascript", ".bin"),
        ("application/x-sh", ".bin"),
        ("../../etc/passwd", ".bin"),
        ("video/mp4\0.php", ".bin"),
        ("", ".bin"),
        (None, ".bin"),
    ],
)
def test_the_extension_follows_from_the_type(mime_type: str | None, extension: str) -> None:
    assert extension_of(mime_type) == extension


@pytest.mark.parametrize(
    ("text", "fits"),
    [("8f3c-1_e", True), ("", False), ("..", False), ("a/b", False), ("a.b", False)],
)
def test_what_may_be_part_of_a_path(text: str, fits: bool) -> None:
    assert is_name(text) is fits
