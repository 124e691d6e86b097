"""Ids of messages in the log's column.

One that is longer than the column has a stand-in there, and stands whole in ``__data.wamid``. The
column's collation takes ``wamid.A`` and ``wamid.a`` for the same; they are two messages.
"""

import hashlib

_LENGTH = 255

#: Finds a message's row by its index, letter for letter. Takes what :func:`same` returns.
SAME = "wamid = ? AND CAST(wamid AS BLOB) = CAST(? AS BLOB)"


def stored(wamid: str) -> str:
    """Return the id as the column holds it."""
    if len(wamid) <= _LENGTH:
        return wamid
    digest = hashlib.sha256(wamid.encode("utf-8", "replace")).hexdigest()
    return f"{wamid[: _LENGTH - 1 - len(digest)]}~{digest}"


def data(wamid: str) -> dict[str, str]:
    """Return what belongs into ``__data`` beside it."""
    return {} if stored(wamid) == wamid else {"wamid": wamid}


def same(wamid: str) -> tuple[str, str]:
    """Return the parameters of :data:`SAME`."""
    return stored(wamid), stored(wamid)
