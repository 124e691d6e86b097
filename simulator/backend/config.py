"""How an embedded backend is set up."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretBytes

from contracts.cloud_api.answering import GENUINE_TYPES
from contracts.signing import DEFAULT_WINDOW_S

#: Whose messages of campaigns are not sent, though they are queued: contacts who have opted out get
#: no marketing templates (of a category that is not known included), or none at all; and nothing
#: who is blocked or deleted. ``off``: all are sent.
OptOuts = Literal["off", "marketing", "all"]


class BackendConfig(BaseModel):
    """Settings of one embedded backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: File of the SQLite database; made if it is missing.
    database: Path
    #: Signing keys that are valid now: id to secret.
    keys: dict[str, SecretBytes] = Field(min_length=1)
    #: Where the sidecar is, without a slash at the end; None: it cannot be called.
    sidecar_url: str | None = None
    #: How far a signed call's time may be from this machine's, in seconds.
    signature_window_s: int = Field(default=DEFAULT_WINDOW_S, ge=1)
    #: SQLite's ``synchronous``: NORMAL survives a killed process, FULL a power cut too.
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    #: Largest body of a request, in bytes; a larger one is answered with 413.
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1)
    #: How long after its receipt a status of an unknown message is asked for again, in seconds.
    status_grace_s: int = Field(default=600, ge=0)
    #: The folder into which the sidecar fetches media; None: it is not asked for any.
    media_dir: Path | None = None
    #: First wait that is asked for a status of an unknown message, in ms; it doubles per attempt.
    status_retry_ms: int = Field(default=1000, ge=1)
    #: Longest wait that is asked for a status of an unknown message, in ms.
    status_retry_max_ms: int = Field(default=60_000, ge=1)
    #: Types of message that bots and the AI answer.
    answered_types: frozenset[str] = GENUINE_TYPES
    #: Whether they answer messages in groups, to their sender alone.
    answer_groups: bool = False
    campaign_opt_outs: OptOuts = "marketing"
