"""Message templates: their categories, and whether they may be sent now."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from contracts.lenient import StrictModel
from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.request import TemplateUse

_PARAMETERS = 132000
_ABSENT = 132001
_PAUSED = 132015
_DISABLED = 132016
_NO_USER_IDS = 131062


class TemplateStatus(StrEnum):
    APPROVED = "APPROVED"
    PENDING = "PENDING"
    REJECTED = "REJECTED"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"


class TemplateCategory(StrEnum):
    MARKETING = "MARKETING"
    UTILITY = "UTILITY"
    AUTHENTICATION = "AUTHENTICATION"


class TemplateSync(StrEnum):
    """How far a marketing template is for the Marketing Messages API."""

    SYNCED = "synced"
    SYNCING = "syncing"
    UNAVAILABLE = "unavailable"


class TemplateConfig(StrictModel):
    """A template in one language. ``account_id`` null: of every account."""

    name: str = Field(min_length=1, max_length=512)
    language: str = Field(default="en", min_length=1)
    category: TemplateCategory = TemplateCategory.MARKETING
    status: TemplateStatus = TemplateStatus.APPROVED
    sync: TemplateSync = TemplateSync.SYNCED
    account_id: str | None = None
    #: Parameters of the body; null: any number.
    body_parameters: int | None = Field(default=None, ge=0)

    @property
    def id(self) -> int:
        return 10**15 + zlib.crc32(f"{self.account_id} {self.name} {self.language}".encode())


@dataclass(frozen=True, slots=True)
class TemplateChange:
    """A change of field ``field``, as Meta tells of it."""

    field: str
    value: dict[str, Any]


class Templates:
    """``only_listed``: others do not exist. Otherwise they are approved, in every language."""

    def __init__(self, listed: list[TemplateConfig], *, only_listed: bool) -> None:
        self._only_listed = only_listed
        self._listed: dict[str, dict[tuple[str | None, str], TemplateConfig]] = {}
        for one in listed:
            self._put(one)

    def __iter__(self) -> Iterator[TemplateConfig]:
        for languages in self._listed.values():
            yield from languages.values()

    def check(
        self, account_id: str, used: TemplateUse, *, to_user_id: bool
    ) -> TemplateConfig | None:
        """Raise :class:`Refusal` unless a template may be sent. Return it, if it is listed."""
        name, language = used.name, used.language
        languages = self._listed.get(name)
        if languages is None:
            if self._only_listed:
                raise Refusal(_ABSENT, f"Template name ({name}) does not exist in {language}.")
            return None
        found = languages.get((account_id, language)) or languages.get((None, language))
        if found is None or found.status in (TemplateStatus.PENDING, TemplateStatus.REJECTED):
            raise Refusal(_ABSENT, f"Template name ({name}) does not exist in {language}.")
        if found.status is TemplateStatus.PAUSED:
            raise Refusal(_PAUSED, f"Template ({name}) is paused.")
        if found.status is TemplateStatus.DISABLED:
            raise Refusal(_DISABLED, f"Template ({name}) is disabled.")
        if to_user_id and found.category is TemplateCategory.AUTHENTICATION:
            raise Refusal(_NO_USER_IDS, "Authentication templates need a phone number.")
        if found.body_parameters not in (None, used.body_parameters):
            expected = (
                f"{used.body_parameters} parameters, and {found.body_parameters} are expected"
            )
            raise Refusal(_PARAMETERS, f"The body of template ({name}) has {expected}.")
        return found

    def change(self, new: TemplateConfig) -> list[TemplateChange]:
        """Add a template or put it in the place of the one it was. Return what webhooks say."""
        old = self._listed.get(new.name, {}).get((new.account_id, new.language))
        self._put(new)
        named = {
            "message_template_id": new.id,
            "message_template_name": new.name,
            "message_template_language": new.language,
        }
        changes = []
        if old is None or old.status is not new.status:
            value = {"event": _event(old, new), **named, "reason": None}
            changes.append(TemplateChange("message_template_status_update", value))
        if old is not None and old.category is not new.category:
            value = {**named, "previous_category": old.category, "new_category": new.category}
            changes.append(TemplateChange("template_category_update", value))
        return changes

    def _put(self, template: TemplateConfig) -> None:
        languages = self._listed.setdefault(template.name, {})
        languages[template.account_id, template.language] = template


def _event(old: TemplateConfig | None, new: TemplateConfig) -> str:
    was_disabled = old is not None and old.status is TemplateStatus.DISABLED
    if was_disabled and new.status is TemplateStatus.APPROVED:
        return "REINSTATED"
    return new.status.value
