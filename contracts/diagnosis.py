"""What ``sidecar check --deep`` asks of PHP: facts, which the sidecar judges.

The tables, columns and indexes that the PHP side works with are named here too, by the tables'
names in PHP's configuration, which may call them otherwise in the database.
"""

from pydantic import Field

from contracts.lenient import LenientModel, StrictModel
from contracts.sidecar_api import PingAnswer

#: Longest token of a call back.
MAX_TOKEN = 64

#: Vendors that an answer names at most, of those whose rows wait.
MAX_WAITING = 100


class DiagnosisRequest(StrictModel):
    """Tell how PHP's side is set up, and what waits in its tables. Changes nothing, and makes a
    constant number of statements, none of which reads more than some thousand rows.

    With ``call_back`` PHP also makes one signed call to the sidecar
    (:data:`contracts.sidecar_api.PING`) that carries this token, and waits for so long at most.
    """

    call_back: str | None = Field(default=None, min_length=1, max_length=MAX_TOKEN)
    call_back_timeout_ms: int = Field(default=2000, ge=100, le=10_000)


class PhpFacts(LenientModel):
    """``package``: the version of the package. ``memory_limit_bytes`` null: none.
    ``signing_key_ids``: the keys that PHP accepts; the first one signs. ``signing_window_s``: how
    far a call's time may be from PHP's. ``sidecar_url``: where PHP looks for the sidecar.
    ``media_dir``: where PHP reads media that the sidecar has fetched; null: it requests none.
    ``media_readable``: whether that folder is there and PHP may read it. ``timezone``: the zone of
    the tables' times, as PHP takes it. ``rows_ahead_s``: how far the newest rows were created in
    the future, by that zone: then it is another."""

    package: str
    php: str
    laravel: str | None = None
    post_max_bytes: int | None = None
    memory_limit_bytes: int | None = None
    signing_key_ids: list[str]
    signing_window_s: int
    sidecar_url: str | None = None
    media_dir: str | None = None
    media_readable: bool = True
    timezone: str | None = None
    rows_ahead_s: int = 0


class DatabaseFacts(LenientModel):
    """``product`` is mariadb, mysql or sqlite. ``now``: its clock, unix ms."""

    product: str
    version: str
    now: int
    max_allowed_packet_bytes: int | None = None


class TableFacts(LenientModel):
    """``name`` is one of :data:`COLUMNS`, ``table`` its name in the database. A table that is not
    there has no columns. ``indexes``: the columns of each, in their order; null where the PHP side
    keeps indexes of its own."""

    name: str
    table: str
    columns: list[str]
    indexes: dict[str, list[str]] | None = None


class CronFacts(LenientModel):
    """A cron of PHP's, by the table that it works on (``queue`` or ``webhooks``).

    ``models``: the classes through which it reads the table, and which keep it off the sidecar's
    vendors; none where the configured ones do not exist. ``seen_at``: when one of them was last
    used on the command line, which crons do with every run whether there is something to do or
    not, unix ms; null where it is not known.
    """

    table: str
    models: list[str] = []
    seen_at: int | None = None


class Waiting(LenientModel):
    """A vendor's rows that are due or pending: since when the oldest is, unix ms."""

    vendor_uid: str
    oldest_at: int


class CallBack(LenientModel):
    """What came of PHP's own call. Without an ``answer``, ``error`` says why, and ``code`` is that
    of a refusal."""

    took_ms: int
    status: int | None = None
    code: str | None = None
    error: str | None = None
    answer: PingAnswer | None = None


class DiagnosisAnswer(LenientModel):
    """``now``: PHP's clock, unix ms. ``crons`` null: this PHP side has none.
    ``cron_models_missing``: classes that are to keep the crons off the sidecar's vendors, and do
    not exist. ``due``: vendors with rows of the queue that are due and may be sent.
    ``pending_webhooks``: vendors among the thousand oldest pending rows of PHP's webhook table. Of
    both, those whose rows wait longest, whoever is to do the work, 100 at most; where that could
    not be asked, ``errors`` say why."""

    now: int
    php: PhpFacts
    database: DatabaseFacts
    tables: list[TableFacts]
    crons: list[CronFacts] | None = None
    cron_models_missing: list[str] = []
    due: list[Waiting] = []
    pending_webhooks: list[Waiting] = []
    errors: list[str] = []
    call_back: CallBack | None = None


#: Columns that every table has.
_COMMON = ("_id", "_uid", "created_at", "updated_at", "__data")

#: What is read and written, by table.
COLUMNS: dict[str, tuple[str, ...]] = {
    "vendors": ("_id", "_uid", "status", "title"),
    "vendor_settings": ("_id", "_uid", "created_at", "updated_at", "vendors__id", "name", "value"),
    "contacts": (
        *_COMMON,
        *("vendors__id", "wa_id", "first_name", "last_name", "language_code"),
        *("whatsapp_opt_out", "wa_blocked_at", "disable_ai_bot", "disable_reply_bot"),
    ),
    "campaigns": ("_id", "_uid", "updated_at", "__data", "vendors__id", "title"),
    "templates": ("_id", "vendors__id", "template_name", "language", "category"),
    "queue": (
        *_COMMON,
        *("vendors__id", "campaigns__id", "contacts__id", "status", "scheduled_at"),
        *("phone_with_country_code", "retries"),
    ),
    "logs": (
        *_COMMON,
        *("vendors__id", "contacts__id", "campaigns__id", "status", "wamid", "contact_wa_id"),
        *("wab_phone_number_id", "is_incoming_message", "message", "messaged_at", "is_forwarded"),
        *("replied_to_whatsapp_message_logs__uid", "messaged_by_users__id", "is_system_message"),
    ),
    "webhooks": (*("_id", "_uid", "created_at", "vendors__id", "headers", "payload", "status"),),
    "bots": (
        *("_id", "_uid", "vendors__id", "status", "reply_text", "trigger_type"),
        *("reply_trigger", "priority_index", "bot_flows__id"),
    ),
    "bot_flows": ("_id", "status"),
}

#: The indexes of contracts/sql/indexes.sql, by table and name.
INDEXES: dict[str, dict[str, tuple[str, ...]]] = {
    "queue": {
        "sidecar_queue_claim": ("campaigns__id", "status", "_id", "scheduled_at"),
        "sidecar_queue_due": ("status", "campaigns__id", "scheduled_at"),
        "sidecar_queue_stale": ("status", "updated_at"),
        "sidecar_queue_vendor": ("vendors__id", "status", "scheduled_at"),
    },
    "logs": {
        "sidecar_logs_wamid": ("vendors__id", "wamid"),
        "sidecar_logs_campaign": ("campaigns__id", "is_incoming_message", "status"),
    },
    "contacts": {"sidecar_contacts_wa_id": ("vendors__id", "wa_id")},
    "webhooks": {
        "sidecar_webhooks_pending": ("status", "created_at"),
        "sidecar_webhooks_order": ("status", "_id", "vendors__id"),
        "sidecar_webhooks_vendor": ("status", "vendors__id"),
    },
    "vendor_settings": {"sidecar_settings_name": ("vendors__id", "name")},
}
