"""People who have another number or user id: who they were, and who they are now."""

from dataclasses import dataclass
from typing import Any

from contracts.cloud_api.people import Person, person
from simulator.backend.envelope import objects


@dataclass(frozen=True, slots=True)
class Move:
    old: Person
    new: Person


def moved_by_message(who: Person, element: dict[str, Any]) -> Move | None:
    """Return what a system message of this person says; None if it says no such thing."""
    system = element.get("system")
    if element.get("type") != "system" or not isinstance(system, dict):
        return None
    new = person(system.get("wa_id"), system.get("new_wa_id"), user_ids=(system.get("user_id"),))
    match system.get("type"):
        case "user_changed_number":
            pass
        case "user_changed_user_id":
            # Its number, if there is one, is what it was.
            new = Person(new.wa_id or who.wa_id, new.user_id or who.user_id)
        case _:
            return None
    previous = person(user_ids=(system.get("previous_user_id"), who.user_id))
    return Move(Person(who.wa_id, previous.user_id), new)


def moves_of_field(value: dict[str, Any]) -> list[Move]:
    """Return what the field ``user_id_update`` says."""
    moves = []
    for update in objects(value.get("user_id_update")):
        ids = update.get("user_id")
        if not isinstance(ids, dict):
            continue
        wa_id = update.get("wa_id")
        old = person(wa_id, user_ids=(ids.get("previous"),))
        new = person(wa_id, user_ids=(ids.get("current"),))
        if new.user_id is not None:
            moves.append(Move(old, new))
    return moves
