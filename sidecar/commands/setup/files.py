"""Writing files that hold secrets: whole or not at all, and over nothing unless that is wanted."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any

SECRET = 0o600
PUBLIC = 0o644

_HEAD = """\
# Settings of the sidecar, made by `sidecar init`. It holds secrets: nobody else may read it.
# sidecar.example.toml has all settings that there are; a variable SIDECAR_* wins over this file.
"""


def toml(settings: Mapping[str, Any]) -> str:
    """Return settings (text, numbers, lists of text) as the sidecar reads them."""
    return _HEAD + "".join(f"\n{name} = {_value(value)}" for name, value in settings.items()) + "\n"


def _value(value: Any) -> str:
    # JSON's texts, numbers and lists are TOML's, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def draft(path: Path, text: str, mode: int) -> Iterator[Path]:
    """Yield a file beside ``path`` with this text, on disk, for :func:`publish`. What is left of it
    at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            os.fchmod(handle, mode)
            file.write(text)
            file.flush()
            os.fsync(handle)
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def publish(drafted: Path, path: Path, *, replace: bool) -> None:
    """Give a draft its name, in one step. Raises ``FileExistsError`` if the name is taken, unless
    it may be replaced."""
    if replace:
        os.replace(drafted, path)
    else:
        os.link(drafted, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write(path: Path, text: str, mode: int, *, replace: bool) -> None:
    """Write a file, whole or not at all."""
    with draft(path, text, mode) as drafted:
        publish(drafted, path, replace=replace)
