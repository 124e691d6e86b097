"""Why letters are dead, in plain words, and what to do about it."""

import re
from dataclasses import dataclass

from contracts.effects import EffectKind
from sidecar.redis.letter_bounds import LetterKind

_REPLAY = "then replay it"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a reason means, and what to do."""

    meaning: str
    do: str


#: For what reasons look like: the first that fits tells.
_UPDATES = (
    (
        "^worker died",
        "A worker died on it, again and again",
        "report it as a bug, and leave it here until it is fixed",
    ),
    (
        "cannot be read",
        "What Meta sent could not be read",
        "nothing can be made of it: export it if Meta is to be asked, and discard it",
    ),
    ("SQL", "PHP's database refuses it", f"fix what PHP's log says, {_REPLAY}"),
    ("^an HTML page", "PHP answers with an error page", f"fix what PHP's log says, {_REPLAY}"),
    ("^/", "PHP fails on it, or does not answer", f"fix what PHP's log says, {_REPLAY}"),
    ("", "PHP refuses it", f"fix what the reason says, {_REPLAY}"),
)
_MEDIA = (
    ("^token_invalid", "The access token may not fetch it", f"enter another in PHP, {_REPLAY}"),
    ("^address_refused", "Its address is none of media_hosts", f"add it there, {_REPLAY}"),
    ("^(too_large|media_unknown)", "It cannot be fetched any more", "discard it"),
    ("^sha256_wrong", "What came is not what Meta announced", "replay it"),
    ("", "It could not be fetched", f"check network and disk, {_REPLAY} while Meta keeps it"),
)
_FORWARD = (
    ("", "The vendor's own webhook did not take it", f"have the vendor mend it, {_REPLAY}"),
)
_AI = (
    (
        "",
        "The AI gave no answer",
        f"check the service and its key, {_REPLAY} if it is not too late",
    ),
)
_EFFECTS = {
    EffectKind.FETCH_MEDIA.value: _MEDIA,
    EffectKind.FORWARD.value: _FORWARD,
    EffectKind.AI_REPLY.value: _AI,
}
_OTHER = (("", "It failed", f"fix what the reason says, {_REPLAY}"),)


def advise(letter: LetterKind, kind: str | None, reason: str) -> Advice:
    """Return what the reason of a letter means; ``kind`` is what the update or the effect says of
    itself."""
    rules = _UPDATES if letter is LetterKind.UPDATES else _EFFECTS.get(kind or "", _OTHER)
    return next(Advice(*rule[1:]) for rule in rules if re.search(rule[0], reason))
