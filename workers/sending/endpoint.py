"""Which endpoint of the Cloud API a message goes to: ``/messages``, or ``/marketing_messages``.

Meta has marketing templates, and nothing else, go by the Marketing Messages API, and an account may
refuse them on ``/messages`` (131063). Which way a vendor's go says ``marketing_messages`` of its
configuration; which templates are marketing says PHP. Meta may have made another category of one
since: where the one endpoint refuses a template for that, the other one is tried, as Meta advises
("Route template messages by category"). A refusal is certain, so nothing is sent twice.
"""

from dataclasses import replace

import structlog

from contracts.backend import ClaimedRow, SendError
from contracts.cloud_api.errors import ErrorClass
from sidecar.sending.requests import FOR_MARKETING, MESSAGES, Endpoint, endpoint_of
from workers.sending.cloud_api import Attempt, ErrorAnswer
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import Row

log = structlog.get_logger()

#: ``/marketing_messages`` says of a template that it is of another category.
_NOT_MARKETING = frozenset({131055, 134100})
#: ``/messages`` takes no marketing template of this account.
_MARKETING_ONLY = 131063

#: What ``/marketing_messages`` also answers if the account is not onboarded, or is too old a
#: version. On ``/messages`` they say that nothing can be sent from the number, or with the token.
_MAYBE_NOT_ONBOARDED = frozenset({3, 10, 33, 131005, 133010, *range(200, 300)})
#: How 131055 begins where the terms were not accepted, and the template is none the wrong one.
_TERMS = "(#200)"

_ONBOARD = (
    "accept the terms of the Marketing Messages API in WhatsApp Manager, or set the vendor's "
    "marketing_messages to off"
)

#: By code: what a person can do about it.
ADVICE = {
    131055: _ONBOARD,
    131063: (
        "set the vendor's marketing_messages to fallback or strict and accept the terms of the "
        "Marketing Messages API, or set disable_marketing_messages_on_cloud_api of the account to "
        "false"
    ),
    134100: "set the vendor's marketing_messages to off",
    134101: "a template that is new, or unused for a week, takes some ten minutes",
    134102: f"template or account may not be ready: {_ONBOARD}",
}


class Endpoints:
    """Chooses for the messages of one campaign, or of a vendor's replies, while it is sent."""

    def __init__(self, config: SendConfig) -> None:
        self._config = config
        #: By template: which endpoints have refused it for its category.
        self._refused: dict[tuple[str, str], set[str]] = {}

    def of(self, row: Row) -> Endpoint:
        """Return where a row is to go, as the configuration is now."""
        marketing = FOR_MARKETING.get(self._config.vendor.marketing_messages)
        template = _template(row)
        if marketing is None or template is None:
            return MESSAGES
        refused = self._refused.get(template, set())
        if len(refused) == 1:
            return MESSAGES if marketing.path in refused else marketing
        return endpoint_of(row, self._config.vendor) if isinstance(row, ClaimedRow) else MESSAGES

    def other_than(self, row: Row, used: Endpoint, attempt: Attempt) -> Endpoint | None:
        """Return where a row goes that was refused because ``used`` does not take templates of its
        category; None where that is not why, or where it has nowhere else to go."""
        if not isinstance(attempt, ErrorAnswer) or not _by_category(used, attempt.error):
            return None
        template = _template(row)
        if template is None:
            return None
        refused = self._refused.setdefault(template, set())
        is_news = used.path not in refused
        refused.add(used.path)
        endpoint = self.of(row)
        if len(refused) > 1 or endpoint == used:
            return None
        if is_news:
            self._tell(row, template, used, attempt.error)
        return endpoint

    def _tell(self, row: Row, template: tuple[str, str], used: Endpoint, error: SendError) -> None:
        name, language = template
        log.warning(
            "template.category_differs",
            vendor=self._config.vendor_uid,
            campaign=self._config.name,
            template=name,
            language=language,
            category=row.template_category if isinstance(row, ClaimedRow) else None,
            refused_by=used.path,
            code=error.code,
        )


def concluded_at(endpoint: Endpoint, attempt: Attempt) -> Attempt:
    """Return what an attempt means, given where it was made. ``/marketing_messages`` refuses an
    account that is not onboarded with codes that pause the number or the access token elsewhere;
    from it they stop the campaign only: what goes by ``/messages`` may well go."""
    if endpoint == MESSAGES or not isinstance(attempt, ErrorAnswer):
        return attempt
    rule, error = attempt.rule, attempt.error
    pauses = rule.error_class in (ErrorClass.PAUSE_NUMBER, ErrorClass.PAUSE_TOKEN)
    if not pauses or rule.code not in _MAYBE_NOT_ONBOARDED:
        return attempt
    details = "; ".join(filter(None, (error.details, _ONBOARD)))
    return ErrorAnswer(
        replace(rule, error_class=ErrorClass.STOP_CAMPAIGN),
        error.model_copy(update={"details": details}),
    )


def _by_category(used: Endpoint, error: SendError) -> bool:
    if used == MESSAGES:
        return error.code == _MARKETING_ONLY
    return error.code in _NOT_MARKETING and not error.message.startswith(_TERMS)


def _template(row: Row) -> tuple[str, str] | None:
    """Return name and language of a row's template, if it has one."""
    if isinstance(row, ClaimedRow):
        return row.template_name, row.template_language
    template = row.message.get("template")
    if row.message.get("type") != "template" or not isinstance(template, dict):
        return None
    language = template.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    return str(template.get("name")), str(code)
