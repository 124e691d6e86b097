"""The folder of fetched media, which PHP reads: ``{vendor}/{yyyy-mm}/{effect}.{extension}``.

A file gets its name when it is whole and on disk. Until then it is a part in a folder beside, and
what a dead process has left there is removed. All of it blocks: call it in a thread.
"""

import errno
import hashlib
import mimetypes
import os
import re
import secrets
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

#: How much is read or written at a time.
CHUNK_BYTES = 64 * 1024

#: PHP is in the group of the folder. It reads files, and may remove them.
_FILE_MODE = 0o640
_FOLDER_UMASK = 0o007
_umask_lock = threading.Lock()

_PARTS = ".parts"
_PART = re.compile(r"[A-Za-z0-9_-]{1,64}\.[0-9a-f]{16}\.part")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MONTH = re.compile(r"\d{4}-\d{2}")

#: What WhatsApp sends, and the standard library's table lacks.
_MORE_TYPES = {
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "audio/amr": ".amr",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "image/webp": ".webp",
    "video/3gpp": ".3gp",
}
#: Other types keep no extension of theirs: a web server might run a .py, a browser an .html.
_PLAIN = re.compile(
    r"(image|audio|video)/(?!svg)[\w.+-]+|text/(plain|csv)"
    r"|application/(pdf|zip|msword|vnd\.(ms-(excel|powerpoint)|openxmlformats-officedocument)\S*)"
)
#: Its own, so that nothing of the machine's is in it.
_TYPES = mimetypes.MimeTypes()
for _type, _extension in _MORE_TYPES.items():
    _TYPES.add_type(_type, _extension)


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is whole and on disk. ``path`` is relative to the folder, ``sha256`` is hex."""

    path: str
    bytes: int
    sha256: str


def extension_of(mime_type: str | None) -> str:
    """Return the extension that goes with a type, ``.bin`` if none does."""
    plain = (mime_type or "").partition(";")[0].strip().lower()
    found = _TYPES.guess_extension(plain) if _PLAIN.fullmatch(plain) else None
    return found or ".bin"


def is_name(text: str) -> bool:
    """Return whether this may be part of a path: a vendor's uid or an effect's id."""
    return _NAME.fullmatch(text) is not None


class MediaFolder:
    """``free_bytes`` are left free on its disk: others, the inbox for instance, may need them."""

    def __init__(self, root: Path, *, free_bytes: int) -> None:
        self._root = root
        self._free_bytes = free_bytes

    def find(self, vendor_uid: str, effect_id: str, mime_type: str | None) -> Stored | None:
        """Return an effect's file if it is there already, whenever it was stored."""
        name = effect_id + extension_of(mime_type)
        with suppress(FileNotFoundError):
            for month in os.listdir(self._root / vendor_uid):
                path = self._root / vendor_uid / month / name
                if _MONTH.fullmatch(month) and path.is_file():
                    return self._read(path)
        return None

    def _read(self, path: Path) -> Stored:
        digest, size = hashlib.sha256(), 0
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        # Whoever stored it may have died before this.
        _sync(path.parent)
        return Stored(str(path.relative_to(self._root)), size, digest.hexdigest())

    def begin(self, effect_id: str, size: int) -> "Part":
        """Begin a file of about this size. Parts that an earlier attempt at it has left go.
        Raises ``OSError`` if the disk is too full."""
        free = shutil.disk_usage(self._root).free
        if free - size < self._free_bytes:
            raise OSError(errno.ENOSPC, f"{free} bytes are free, {self._free_bytes} are to be left")
        parts = self._root / _PARTS
        _make_folder(parts)
        for left in parts.glob(f"{effect_id}.*.part"):
            left.unlink(missing_ok=True)
        return Part(self._root, parts / f"{effect_id}.{secrets.token_hex(8)}.part")

    def remove_parts(self, older_than_s: float) -> int:
        """Remove parts that nobody has written to for so long, and return how many."""
        removed = 0
        before = time.time() - older_than_s
        with suppress(FileNotFoundError), os.scandir(self._root / _PARTS) as entries:
            for entry in entries:
                if _PART.fullmatch(entry.name) and entry.stat().st_mtime < before:
                    Path(entry.path).unlink(missing_ok=True)
                    removed += 1
        return removed


class Part:
    """A file on its way. End it with :meth:`keep` or :meth:`discard`, which does nothing to one
    that is kept."""

    def __init__(self, root: Path, path: Path) -> None:
        self._root = root
        self._path = path
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._file: BinaryIO | None = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600),
            "wb",
            buffering=0,
        )
        os.fchmod(self._file.fileno(), _FILE_MODE)
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        with self._lock:
            if self._file is None:
                return  # discarded while this was on its way to a thread
            left = memoryview(chunk)
            while left:
                left = left[self._file.write(left) :]
            self._digest.update(chunk)
            self.size += len(chunk)

    def keep(self, vendor_uid: str, effect_id: str, mime_type: str | None, at_ms: int) -> Stored:
        """Give the file its name, and return it when that is on disk."""
        with self._lock:
            if self._file is None:
                raise OSError(errno.EBADF, "the part is discarded")
            os.fsync(self._file.fileno())
            month = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")
            folder = self._root / vendor_uid / month
            _make(folder)
            path = folder / (effect_id + extension_of(mime_type))
            os.rename(self._path, path)
            _sync(folder)
            self._close()
            return Stored(str(path.relative_to(self._root)), self.size, self.sha256)

    def discard(self) -> None:
        with self._lock:
            if self._file is not None:
                self._close()
                self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _make(folder: Path) -> None:
    """Make the folders between, each on disk."""
    for level in (folder.parent, folder):
        if _make_folder(level):
            _sync(level.parent)


def _make_folder(folder: Path) -> bool:
    """Make a folder for its owner and group, whatever the process's umask is; return whether it was
    not there. Its mode is not changed afterwards: that would take away the bit that hands the
    group on."""
    with _umask_lock:
        before = os.umask(_FOLDER_UMASK)
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        finally:
            os.umask(before)
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
