"""Calls that an older Laravel package does not have."""

from typing import TypeVar

from pydantic import BaseModel

from sidecar.php.client import Backend, BackendError, BackendMissing

Answer = TypeVar("Answer", bound=BaseModel)


class PackageTooOld(BackendError):
    """PHP has no such endpoint."""


async def call_if_there(
    backend: Backend, path: str, request: BaseModel, answer: type[Answer]
) -> Answer:
    """As :meth:`~sidecar.php.client.Backend.call`; raises :class:`PackageTooOld` if PHP has no such
    endpoint."""
    try:
        return await backend.call(path, request, answer)
    except BackendMissing:
        raise PackageTooOld(
            f"PHP has no {path}: update the Laravel package to the sidecar's version"
        ) from None
