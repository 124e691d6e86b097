"""Personal data out of texts that leave the installation."""

import re
from collections.abc import Collection

#: What is left as it is (uids), and what is masked: ids of messages, which hold a phone number,
#: e-mail addresses, and phone numbers: seven digits or more, or fewer with a plus before them, also
#: in groups.
_PARTS = re.compile(
    r"(?P<uid>\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b)"
    r"|(?P<wamid>\bwamid\.[\w+/=.-]+)"
    r"|(?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<phone>\+\d(?:[ ().-]{0,2}\d){5,}|(?<!\d)\d{7,})"
)
#: How many digits of a phone number are shown, its last ones.
_SHOWN = 2


def mask(text: str, keep: Collection[str] = ()) -> str:
    """Mask phone numbers, ids of messages and e-mail addresses. ``keep`` are ids that look like
    phone numbers and are none: Meta's ids of numbers and accounts."""

    def masked(found: re.Match[str]) -> str:
        word = found[0]
        match found.lastgroup:
            case "phone" if word not in keep:
                return f"(number ending in {word[-_SHOWN:]})"
            case "wamid":
                return "(message id)"
            case "mail":
                return "(e-mail address)"
        return word

    return _PARTS.sub(masked, text)
