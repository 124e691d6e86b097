"""What answers of the messages call say of recipients: their number, as Meta writes it, and their
user id."""

from contracts.backend import SendResult
from contracts.cloud_api.people import Person, phone_digits
from simulator.backend.contacts import contacts_by_id, learn, user_id_of
from simulator.backend.jsontext import dump
from simulator.backend.recipients import phone_of
from simulator.backend.work import Work


class LearntIds:
    """Those of a batch, by contact."""

    def __init__(self) -> None:
        self._numbers: dict[int, str] = {}
        self._people: dict[int, tuple[str, Person]] = {}

    def note(self, contact_id: int | None, asked: str | None, result: SendResult) -> None:
        """Take in a result. ``asked`` is the number that the message was sent to, if it was one."""
        if contact_id is None:
            return
        sent_to, number = phone_of(asked), phone_digits(result.wa_id or "")
        if sent_to is not None and number is not None and number != sent_to:
            self._numbers[contact_id] = number
        # To a user id, the answer only repeats it; meanwhile the contact may have another one.
        who = Person(number, None) if sent_to is None else Person(None, result.user_id or None)
        if who != Person():
            self._people[contact_id] = result.vendor_uid, who

    def write(self, work: Work) -> None:
        if self._numbers:
            work.db.execute(
                "UPDATE contacts SET updated_at = ?, wa_id = fix.value ->> 1"
                " FROM json_each(?) AS fix WHERE contacts._id = fix.value ->> 0",
                (work.now, dump(list(self._numbers.items()))),
            )
        if not self._people:
            return
        for row in contacts_by_id(work, list(self._people)):
            vendor_uid, who = self._people[row["_id"]]
            if who.wa_id is not None or who.user_id != user_id_of(row):
                learn(work, work.vendors.get(vendor_uid), row, who)
