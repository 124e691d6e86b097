"""What is compared between PHP and the sidecar, how it may compare, and why it may differ.

Only these rules explain a difference. Each describes how PHP's own routine is known to work, or a
limit of what can be observed of it.
"""

from enum import StrEnum


class Kind(StrEnum):
    """Kinds of planned effects. The business key of each is the vendor and the message's wamid.

    - ``log_row``: the message gets its row in ``whatsapp_message_logs``;
    - ``status``: the row's status, the highest that came;
    - ``queue_row``: the campaign's row for the contact waits in the queue for a status no more;
    - ``bots``: which bots answer a customer's message, in order;
    - ``campaign``: what a row of a campaign is sent with, or that it is not sent. Its key is the
      row.
    """

    LOG_ROW = "log_row"
    STATUS = "status"
    QUEUE_ROW = "queue_row"
    BOTS = "bots"
    CAMPAIGN = "campaign"


class Class(StrEnum):
    """- ``equal``: both have done the same;
    - ``explained``: they have not, and a rule says why that is no fault;
    - ``missing``: PHP has done it, and the sidecar would not have;
    - ``extra``: the sidecar would have done it, and PHP has not;
    - ``different``: both, and each something else.
    """

    EQUAL = "equal"
    EXPLAINED = "explained"
    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


#: Those that stand in the way of a cutover.
UNEXPLAINED = (Class.MISSING, Class.EXTRA, Class.DIFFERENT)


class Rule(StrEnum):
    """Names of the rules; :data:`SENTENCES` says what each means."""

    ONLY_FIRST_ELEMENT = "only_first_element"
    LATE_STATUS_OVERWRITES = "late_status_overwrites"
    EARLY_STATUS_LOST = "early_status_lost"
    MESSAGE_NOT_IN_LOG = "message_not_in_log"
    REQUEUED = "requeued"
    STATUS_FROM_BEFORE = "status_from_before"
    WEBHOOK_NOT_RECORDED = "webhook_not_recorded"
    VENDOR_INACTIVE = "vendor_inactive"
    REQUEST_WELCOME = "request_welcome"
    PHONE_NUMBER_UNKNOWN = "phone_number_unknown"
    CONTACT_WITHOUT_ID = "contact_without_id"
    OWN_NUMBER = "own_number"
    CORRECTION = "correction"
    PHP_CANNOT_TELL_BOTS = "php_cannot_tell_bots"
    WELCOME_NEEDS_FIRST_MESSAGE = "welcome_needs_first_message"
    CONTACT_HAS_BOTS_OFF = "contact_has_bots_off"
    CONTACT_GETS_NOTHING = "contact_gets_nothing"
    RECIPIENT_SUPPRESSED = "recipient_suppressed"
    PHP_KEEPS_NO_REQUEST = "php_keeps_no_request"


SENTENCES = {
    Rule.ONLY_FIRST_ELEMENT: "PHP looks at the first entry, change and element of a webhook only, "
    "so the rest of a batch is lost; the sidecar takes all of it.",
    Rule.LATE_STATUS_OVERWRITES: "PHP lets a late status overwrite a higher one, unless that is "
    "read; with the sidecar a status only moves up.",
    Rule.EARLY_STATUS_LOST: "PHP loses a status that comes before its message is in the log; the "
    "sidecar brings it again.",
    Rule.MESSAGE_NOT_IN_LOG: "The message is not in PHP's log, so it is none of PHP's, and a "
    "status of it is ignored; so it is with the sidecar, after a while.",
    Rule.REQUEUED: "After error 131049 PHP sends the message again, and has taken it out of the "
    "log; so it is with the sidecar.",
    Rule.STATUS_FROM_BEFORE: "PHP has a higher status than was seen here, and had it before the "
    "first one that was.",
    Rule.WEBHOOK_NOT_RECORDED: "PHP has a higher status than was seen here, and a webhook of the "
    "vendor was dropped here for want of room.",
    Rule.VENDOR_INACTIVE: "The vendor is not active, so neither handles its webhooks.",
    Rule.REQUEST_WELCOME: "Neither keeps a request_welcome: it is no message of the customer's.",
    Rule.PHONE_NUMBER_UNKNOWN: "The phone number that was written to is not the vendor's, so "
    "neither keeps the message.",
    Rule.CONTACT_WITHOUT_ID: "The message does not say whom it is from, so neither keeps it.",
    Rule.OWN_NUMBER: "It is from or to the business's own number, which is no contact with the "
    "sidecar; PHP's own routine takes it for one.",
    Rule.CORRECTION: "With the sidecar an edit or a revocation changes the message that it names; "
    "PHP's own routine keeps it as a message.",
    Rule.PHP_CANNOT_TELL_BOTS: "PHP cannot tell which bots have answered: the application's own "
    "routine leaves no trace of them that can be read.",
    Rule.WELCOME_NEEDS_FIRST_MESSAGE: "A welcome bot answers a contact's first message in 24 hours "
    "only; the sidecar leaves that to PHP.",
    Rule.CONTACT_HAS_BOTS_OFF: "The contact has switched bots off; the sidecar leaves that to PHP.",
    Rule.CONTACT_GETS_NOTHING: "The contact has opted out, or is blocked or deleted. With the "
    "sidecar it gets nothing any more, though the message was queued before; PHP's cron sends it.",
    Rule.RECIPIENT_SUPPRESSED: "An earlier message to the recipient was refused, so the sidecar "
    "spares the call; PHP's cron makes it.",
    Rule.PHP_KEEPS_NO_REQUEST: "PHP does not keep what its cron has asked the Cloud API for: of a "
    "message that failed the error only, or nothing of its components.",
}

#: Reasons why only the sidecar does not keep a message.
OF_SIDECAR = frozenset({Rule.OWN_NUMBER, Rule.CORRECTION})
