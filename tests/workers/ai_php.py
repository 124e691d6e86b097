"""A PHP side that takes AIs' answers, as it is told."""

from collections.abc import Callable
from typing import Any

from contracts.backend import AI_ANSWERS
from tests.workers import php as php_side
from tests.workers.php import Answer, Call, Php

#: Says what becomes of an answer: fields of its result, or None to leave it out.
Take = Callable[[dict[str, Any]], dict[str, Any] | None]


def take(php: Php, how: Take = lambda _answer: {"result": "done"}) -> None:
    """Have every answer taken so, from now on."""

    def rule(call: Call) -> Answer:
        results = [
            {"id": answer["id"], **result}
            for answer in call.json["answers"]
            if (result := how(answer)) is not None
        ]
        return php_side.answer({"results": results})

    php.when(AI_ANSWERS, rule)


def answers(php: Php) -> list[dict[str, Any]]:
    """Return all answers that came, in order."""
    return [answer for call in php.to(AI_ANSWERS) for answer in call.json["answers"]]
