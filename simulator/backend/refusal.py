"""Answers that say no."""

from http import HTTPStatus

from contracts.backend import ErrorCode
from contracts.signing import Refusal

_STATUS = {
    ErrorCode.VENDOR_UNKNOWN: HTTPStatus.NOT_FOUND,
    ErrorCode.CAMPAIGN_UNKNOWN: HTTPStatus.NOT_FOUND,
    ErrorCode.CAMPAIGN_PAUSED: HTTPStatus.CONFLICT,
    ErrorCode.CAMPAIGN_CANCELLED: HTTPStatus.CONFLICT,
    ErrorCode.FENCE_STALE: HTTPStatus.CONFLICT,
    ErrorCode.MODE_CHANGE_FORBIDDEN: HTTPStatus.CONFLICT,
    ErrorCode.VENDOR_NOT_ON_SIDECAR: HTTPStatus.CONFLICT,
    ErrorCode.MAINTENANCE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.REQUEST_INVALID: HTTPStatus.BAD_REQUEST,
    ErrorCode.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class Refused(Exception):
    """The call is answered with an error, and changes nothing."""

    def __init__(self, code: ErrorCode | Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        if isinstance(self.code, Refusal):
            return HTTPStatus.UNAUTHORIZED
        return _STATUS[self.code]
