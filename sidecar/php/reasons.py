"""Takes personal data out of what PHP says went wrong, before it is kept, shown or logged.

An SQL error quotes the statement with its values, an error page repeats the request, and a message
of an exception may name a customer. What is left says what a person needs to look further: in PHP's
own log.
"""

import ipaddress
import re

#: Maximum length of a reason, and of what is looked at, in characters.
MAX_CHARS = 300
MAX_READ = 2000

#: The tables that PHP writes for the sidecar. Only these names are repeated from an SQL error:
#: anything else in it may be a value.
TABLES = (
    "bot_flows",
    "bot_replies",
    "campaigns",
    "contacts",
    "countries",
    "users",
    "vendor_settings",
    "vendors",
    "whatsapp_message_logs",
    "whatsapp_message_queue",
    "whatsapp_templates",
    "whatsapp_webhook_queue",
    "whatsapp_webhooks",
)

#: What shows that it is about SQL, in the words of PDO, Laravel, MySQL, MariaDB and SQLite.
_SQL = re.compile(
    r"SQLSTATE|\bSQL\s*:|\bSQL syntax\b|QueryException|PDOException|"
    r"\b(?:insert\s+(?:ignore\s+)?into|replace\s+into|delete\s+from|update\s+\S+\s+set|select\s.{1,300}\sfrom)\b|"
    r"Duplicate entry|Data too long|Data truncated|Incorrect \w+ value|Out of range value|"
    r"Cannot (?:add or update|delete or update) a (?:child|parent) row|constraint fails|"
    r"constraint failed|Deadlock found|Lock wait timeout|near .{1,300}: syntax error|"
    r"no such (?:column|table)|violates \S+(?: \S+)? constraint|too long for type|"
    r"input syntax for type|Unknown column",
    re.IGNORECASE | re.DOTALL,
)
#: The SQLSTATE, and the driver's own code where it stands right behind it or its standard words; as
#: PDO and Laravel say it, we ourselves, or the Laravel package.
_STATE = re.compile(
    r"SQLSTATE[\[ ]([0-9A-Z]{5})\b\]?"
    r"(?:\s\[(\d{1,5})\]|,? (?:code )?(\d{1,5})\b|:\s[A-Za-z ,/-]{1,60}:\s(\d{1,5})\s)?"
)
_ERROR = re.compile(r"^(?:ERROR |error code |errno )(\d{4})\b", re.IGNORECASE)
_TABLE = re.compile(
    r"(?:\b(?:into|update|from|join|table|in|key|failed:)\s+|\.)[`\"'\[]?(?:\w+[`\"'\]]?\.[`\"'\[]?)?"
    rf"({'|'.join(TABLES)})\b",
    re.IGNORECASE,
)

_PAGE = re.compile(r"<!doctype|</?(?:html|head|body|title|script|style|div|span|pre|p|br)\b", re.I)
#: Where a stack trace begins, which holds arguments.
_TRACE = re.compile(r"[\r\n]|\\n|\s*\bStack trace:|\s#\d+ [/\[{]")
_MAIL = re.compile(r"[^\s@<>\"'(),;:=]{1,64}(?:@[^\s@<>\"'(),;:=]+)+")
#: Ids of rows and vendors, which are kept, and numbers of seven digits or more.
_NUMBER = re.compile(
    r"\b(?P<id>[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\b|"
    r"\d(?:[\s().\-\u2010-\u2015/]{0,3}\d){6,}"
)
_PLAIN = re.compile(r"[A-Za-z_ ]{0,60}")


def scrub(reason: str) -> str:
    """Return a reason without personal data. Doing it again changes nothing."""
    if _PLAIN.fullmatch(reason):
        return reason
    reason = reason[:MAX_READ]
    if _SQL.search(reason):
        return _sql(reason)
    if _PAGE.search(reason):
        return "an HTML page; PHP's log says why"
    first = _TRACE.split(reason.strip(), maxsplit=1)[0].rstrip()
    masked = _NUMBER.sub(_masked, _MAIL.sub("[e-mail]", first))
    return masked if len(masked) <= MAX_CHARS else masked[: MAX_CHARS - 3] + "..."


def _sql(text: str) -> str:
    """Reduce an SQL error to its codes and its table."""
    said = ["SQL error"]
    if state := _STATE.search(text):
        said = [f"SQLSTATE[{state[1]}]", *filter(None, state.groups()[1:])]
    elif code := _ERROR.search(text):
        said.append(code[1])
    if table := _TABLE.search(text):
        said += ["in", table[1].lower()]
    return " ".join(said)


def _masked(number: re.Match[str]) -> str:
    if number["id"]:
        return number[0]
    try:
        return str(ipaddress.IPv4Address(number[0]))
    except ValueError:
        return "[number]"
