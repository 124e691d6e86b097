"""Settings: environment variables named ``SIDECAR_*``, and a TOML file.

The file is the one that ``SIDECAR_CONFIG`` names, or ``sidecar.toml`` in the working directory if
there is one. A variable wins over the file. ``docs/settings.md`` and ``sidecar.example.toml`` are
made of the comments here (``make settings-page``).
"""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from sidecar.addresses import AllowList
from sidecar.url import HttpUrl, RedisUrl, SecretUrl, next_database

ENV_PREFIX = "SIDECAR_"
CONFIG_VARIABLE = "SIDECAR_CONFIG"
DEFAULT_CONFIG_FILE = "sidecar.toml"


class InvalidSettings(Exception):
    """A setting is missing or wrong. The message is one line that names it."""


class SignatureMode(StrEnum):
    ENFORCE = "enforce"
    REPORT = "report"


class MissingReplicas(StrEnum):
    REFUSE = "refuse"
    GO_ON = "go_on"


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        # Not every blank that Unicode knows: PHP trims the same.
        parts = [part.strip(" \t\r\n") for part in value.split(",")]
        return [part for part in parts if part]
    return value


def _parse_keys(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    keys: dict[str, str] = {}
    for part in _split_commas(value):
        key_id, colon, secret = part.partition(":")
        if not (colon and key_id and secret):
            raise ValueError("write it as id:secret, several separated by commas")
        if key_id in keys:
            raise ValueError(f"key {key_id!r} is there twice")
        keys[key_id] = secret
    return keys


def _check_keys(keys: dict[str, SecretStr] | None) -> dict[str, SecretStr] | None:
    for key_id, secret in (keys or {}).items():
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", key_id):
            raise ValueError("a key's id is made of letters, digits, dots, - and _")
        if len(secret.get_secret_value()) < 16:
            raise ValueError(f"the secret of key {key_id!r} is shorter than 16 characters")
    return keys


def _check_secrets(secrets: list[SecretStr]) -> list[SecretStr]:
    # An empty secret would be one that everybody knows.
    if not all(secret.get_secret_value() for secret in secrets):
        raise ValueError("a secret is empty")
    return secrets


def _check_outbound(entries: list[str]) -> list[str]:
    AllowList(entries)
    return entries


def _check_mail(addresses: list[str]) -> list[str]:
    for address in addresses:
        if not re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+", address):
            raise ValueError(f"{address!r} is no e-mail address")
    return addresses


def _check_hosts(hosts: list[str]) -> list[str]:
    for host in hosts:
        if not re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", host):
            raise ValueError(f"{host!r} is no host name, such as fbcdn.net")
    return hosts


class Settings(BaseSettings):
    """Everything that can be set, as one object that never changes."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    # -- where things are --

    #: Address that `sidecar serve` listens on. nginx stands in front of it.
    host: str = "127.0.0.1"
    #: Port that `sidecar serve` listens on. 0 takes any free one.
    port: int = Field(default=8600, ge=0, le=65535)
    #: Root of the PHP application; `/internal/*` and `/whatsapp-webhook/*` are below it.
    backend_url: HttpUrl = Field(examples=["http://127.0.0.1:8000"])
    #: Redis or Valkey for the inbox and the ledger: `redis://`, `rediss://` (TLS), `unix://`, or
    #: Sentinels, `sentinel://host1,host2,host3/mymaster/0` (`sentinels://` for TLS). It needs
    #: `appendonly yes`, `appendfsync always` and `maxmemory-policy noeviction`. Not set: an
    #: embedded Valkey in `data_dir`.
    redis_url: RedisUrl = Field(default=None, repr=False, examples=["redis://127.0.0.1:6379/0"])
    #: Redis for Dramatiq, which needs a database of its own. Not set: the next database number of
    #: `redis_url`.
    dramatiq_redis_url: RedisUrl = Field(
        default=None, repr=False, examples=["redis://127.0.0.1:6379/1"]
    )
    #: Replicas of it that must have a webhook before it is acknowledged, and a row before it is
    #: sent, so that neither is lost with the primary. Each waits for one round trip between the
    #: two, or two if they keep append-only files. 0: the primary alone must have it.
    redis_replicas_in_sync: int = Field(default=0, ge=0, le=5)
    #: What to do while too few have it in time. `refuse`: webhooks get 503, so that nginx hands
    #: them to PHP, and nothing is sent. `go_on`: as with 0, and `sidecar status` says so.
    redis_replicas_missing: MissingReplicas = MissingReplicas.REFUSE
    #: Longest that they may take to have a write in memory, and then to have it on disk. Must be
    #: less than half of `inbox_write_timeout_ms`.
    redis_replicas_timeout_ms: int = Field(default=300, ge=10, le=2000)
    #: Folder of the embedded Valkey: its append-only file and its socket, whose full path may have
    #: 107 characters.
    data_dir: Path = Path("var")
    #: Where Meta posts webhooks (nginx). `sidecar status`, `top` and `check --deep` try it, and
    #: who is told of problems (`notify_*`) is told if it does not answer.
    public_url: HttpUrl | None = Field(default=None, examples=["https://whatsapp.example.com"])
    #: Root of the Cloud API.
    cloud_api_url: HttpUrl = "https://graph.facebook.com"
    #: Version of the Cloud API, `v26.0` for instance.
    cloud_api_version: str = Field(default="v26.0", pattern=r"^v\d+\.\d+$")

    # -- trust --

    #: Keys for internal calls between PHP and the sidecar. A secret has at least 16 characters and
    #: no comma; `openssl rand -hex 32` makes a good one. The first key signs; all are accepted. To
    #: rotate a key, add the new one behind the old one on both sides, then put it first, then drop
    #: the old one.
    signing_keys: Annotated[
        dict[str, SecretStr],
        NoDecode,
        BeforeValidator(_parse_keys),
        AfterValidator(_check_keys),
        Field(min_length=1, examples=["first:put-a-secret-of-your-own-here"]),
    ]
    #: How far PHP's clock and the sidecar's may differ.
    signing_window_s: int = Field(default=300, ge=10, le=3600)
    #: Meta app secrets that are valid for every vendor. Vendors' own secrets come from PHP, so this
    #: may be empty where every vendor has an app of its own.
    app_secrets: Annotated[
        list[SecretStr], NoDecode, BeforeValidator(_split_commas), AfterValidator(_check_secrets)
    ] = Field(default=[], examples=["put-the-secret-of-your-meta-app-here"])
    #: What to do with a wrong or missing signature. `enforce` answers 401; `report` accepts the
    #: webhook and counts it.
    webhook_signature: SignatureMode = SignatureMode.ENFORCE
    #: The same for webhooks that are passed on to PHP. `report` passes them on as they came, and
    #: counts them; change to `enforce` once nothing genuine is counted.
    proxy_signature: SignatureMode = SignatureMode.REPORT

    # -- webhooks --

    #: Largest webhook that is accepted; larger ones get 413. Meta sends up to 3 MB.
    webhook_body_limit_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    #: Longest that a write to the inbox may take. After that the webhook is answered with 503.
    inbox_write_timeout_ms: int = Field(default=800, ge=50, le=5000)
    #: Memory for webhooks that wait for their write. Above this they are answered with 503.
    inbox_pending_limit_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    #: Share of Redis's `maxmemory` that webhooks may fill. Above it they get 503; the rest, which
    #: should be 64 MB or more, is kept for work that has begun.
    inbox_memory_share: float = Field(default=0.8, gt=0, le=1)
    #: Share of that which one vendor may fill. Above it only this vendor's webhooks get 503.
    vendor_memory_share: float = Field(default=0.5, gt=0, le=1)
    #: How long a status may wait for others, to fill a batch. Customers' messages never wait.
    status_wait_ms: int = Field(default=1000, ge=0, le=10_000)
    #: Most statuses in one request to PHP.
    status_batch_size: int = Field(default=1000, ge=1, le=1000)
    #: Most customers' messages in one request to PHP.
    message_batch_size: int = Field(default=50, ge=1, le=1000)
    #: Most requests with customers' messages that may be at PHP at once.
    message_concurrency: int = Field(default=4, ge=1, le=64)
    #: How long the sidecar recognises a customer's message as a duplicate by itself, and what it
    #: has forwarded or sent for PHP. PHP recognises older messages. What PHP has asked for longer
    #: ago than three quarters of it, and nobody has, is not sent: its outcome is unknown.
    duplicate_window_s: int = Field(default=86_400, ge=0, le=7 * 86_400)
    #: Of how many statuses it is kept when each was set, for `sidecar find` and the console's
    #: search: of the last half of so many at least, in 13 to 26 bytes each. 0: of none.
    status_times_limit: int = Field(default=1_000_000, ge=0, le=100_000_000)
    #: Attempts at an update that PHP refuses, before it becomes a dead letter.
    update_max_attempts: int = Field(default=12, ge=1, le=100)
    #: After so many deaths of workers on a lane's work, it is processed one by one; after so many
    #: on one webhook, that becomes a dead letter.
    crash_loop_threshold: int = Field(default=3, ge=1, le=100)
    #: Pause before an update is retried for the first time. It doubles each time.
    update_retry_first_ms: int = Field(default=1000, ge=10)
    #: Longest pause before an update is retried.
    update_retry_longest_ms: int = Field(default=300_000, ge=10)
    #: Most dead letters that are kept of one vendor. Above it the oldest are deleted, effects
    #: before updates.
    dead_letters_limit: int = Field(default=50_000, ge=1)
    #: Most bytes of dead letters that are kept of one vendor.
    dead_letters_limit_bytes: int = Field(default=64 * 1024 * 1024, ge=16 * 1024 * 1024)
    #: How long dead letters are kept.
    dead_letters_limit_days: int = Field(default=90, ge=1, le=3650)

    # -- webhooks that PHP handles --

    #: Keep a webhook that PHP does not answer, or answers with 5xx, and hand it over later; PHP
    #: recognises what it has. Only correctly signed ones are kept, unless `webhook_signature` is
    #: `report`. `false`: Meta gets PHP's failure, and comes again.
    proxy_keep_failed: bool = True
    #: Longest that PHP may take for such a webhook. Together with `inbox_write_timeout_ms` it must
    #: stay below what nginx waits for the sidecar (`proxy_read_timeout` in
    #: nginx/sidecar/public.conf, 4 s).
    proxy_timeout_s: float = Field(default=3.0, gt=0, le=60)
    #: Most such webhooks that may be at PHP at once. Others wait, within `proxy_timeout_s`.
    proxy_concurrency: int = Field(default=128, ge=1, le=4096)
    #: Memory for such webhooks on their way. Above this PHP is not asked.
    proxy_pending_limit_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)

    # -- calls to PHP --

    #: Longest that one call to PHP may take.
    backend_timeout_s: float = Field(default=30.0, gt=0, le=300)
    #: How long a vendor's configuration is used before PHP is asked again. While PHP is down the
    #: last one stays in use. PHP can also say that it changed.
    vendor_config_ttl_s: float = Field(default=60.0, ge=1)
    #: How long "no such vendor" is remembered.
    vendor_unknown_ttl_s: float = Field(default=10.0, ge=0)
    #: How long a vendor's bots are used before PHP is asked again.
    bots_ttl_s: float = Field(default=300.0, ge=1)
    #: How long a customer's message may wait for its vendor's bots where a process does not know
    #: them. After that it goes to PHP without matches, and PHP matches it.
    bots_wait_ms: int = Field(default=200, ge=0, le=2000)

    # -- campaigns --

    #: How often PHP is asked for due campaigns, and for webhooks that it stored.
    due_campaigns_interval_s: float = Field(default=5.0, ge=0.5)
    #: Rate of a number for which PHP names none. 80 is Meta's default; numbers shared with the
    #: Business app have 20.
    messages_per_second: float = Field(default=80.0, gt=0, le=1000)
    #: Share of a number's rate that is used, so that jitter does not exceed it.
    rate_share: float = Field(default=0.99, gt=0, le=1)
    #: Longest that the Cloud API may take to answer. After that the outcome is unknown: the message
    #: is not sent again, and its status settles it.
    send_timeout_s: float = Field(default=30.0, gt=0, le=120)
    #: Most calls to the Cloud API of one campaign in one worker process.
    send_concurrency: int = Field(default=256, ge=1, le=1024)
    #: Most campaigns that one worker process sends at once.
    campaign_concurrency: int = Field(default=32, ge=1, le=1024)
    #: Size of one claim, in seconds of sending. Small enough to stop at once.
    claim_s: float = Field(default=2.0, gt=0, le=30)
    #: After so many errors in a row that may be the campaign's fault, whichever they are, it is
    #: paused.
    campaign_error_streak: int = Field(default=20, ge=1)
    #: How long a recipient gets no campaign message after an error that would repeat itself
    #: (130403, 131026, 131050). 0 turns it off.
    suppress_s: int = Field(default=86_400, ge=0, le=30 * 86_400)
    #: How long results of a campaign's sends may wait for others before they go to PHP. Those of
    #: replies wait for 400 ms at most, and all for 50 ms while PHP takes the vendor's webhooks.
    result_wait_ms: int = Field(default=1000, ge=0, le=10_000)
    #: Rows that stay in status 3 (processing) for longer become 6 (unknown).
    stale_claim_s: int = Field(default=300, ge=30)

    # -- effects --

    #: A reply that could not be sent for so long is reported as failed.
    reply_expiry_s: int = Field(default=3600, ge=10, le=86_400)
    #: How often PHP is asked for messages that stand pending in its log for at least as long and
    #: that nobody sends.
    pending_effects_interval_s: int = Field(default=60, ge=1, le=3600)
    #: A broadcast that could not be made for so long is dropped.
    broadcast_expiry_s: int = Field(default=60, ge=1, le=3600)
    #: Attempts at a forward or a broadcast, before it becomes a dead letter. A question to an AI
    #: gets no more either, whatever `ai_max_attempts` says.
    effect_max_attempts: int = Field(default=12, ge=1, le=100)
    #: Most forwards, and most broadcasts, of one vendor that may wait. More are dropped and
    #: counted.
    effects_limit: int = Field(default=100_000, ge=100)
    #: Host names, addresses and networks that vendors' URLs may lead to although they are private,
    #: such as `flowise.internal` or `10.8.0.0/16`. Any port of them can then be called, and a name
    #: counts whatever it resolves to.
    outbound_allow: Annotated[
        list[str], NoDecode, BeforeValidator(_split_commas), AfterValidator(_check_outbound)
    ] = []
    #: Most posts to one vendor's own webhook at once.
    forward_concurrency: int = Field(default=8, ge=1, le=256)
    #: Longest that a vendor's own webhook may take to answer.
    forward_timeout_s: float = Field(default=10.0, gt=0, le=120)
    #: Most questions of one vendor that AIs are asked at once.
    ai_concurrency: int = Field(default=50, ge=1, le=1024)
    #: Longest that an AI may take to answer.
    ai_timeout_s: float = Field(default=60.0, gt=0, le=600)
    #: Attempts at a question that an AI does not answer. After that PHP sends the vendor's failure
    #: message, if there is one.
    ai_max_attempts: int = Field(default=3, ge=1, le=20)

    # -- media --

    #: Folder into which customers' media is fetched, and from which PHP reads it; it must exist.
    #: PHP's `WHATSAPP_SIDECAR_MEDIA_DIR` names the same folder, as PHP sees it. Not set: no media
    #: is fetched.
    media_dir: Path | None = Field(default=None, examples=["/var/lib/whatsapp-media"])
    #: Hosts that media is fetched from, over HTTPS, with their subdomains. They get the vendor's
    #: access token. The Cloud API's own address always counts.
    media_hosts: Annotated[
        list[str], NoDecode, BeforeValidator(_split_commas), AfterValidator(_check_hosts)
    ] = Field(default=["fbsbx.com", "fbcdn.net", "whatsapp.net"])
    #: Largest file. Meta delivers up to 100 MB, of any type.
    media_limit_bytes: int = Field(default=100 * 1024 * 1024, ge=1024)
    #: Largest image.
    media_image_limit_bytes: int = Field(default=100 * 1024 * 1024, ge=1024)
    #: Largest audio or voice message.
    media_audio_limit_bytes: int = Field(default=100 * 1024 * 1024, ge=1024)
    #: Largest video.
    media_video_limit_bytes: int = Field(default=100 * 1024 * 1024, ge=1024)
    #: Largest sticker. WhatsApp's have up to 500 kB.
    media_sticker_limit_bytes: int = Field(default=1024 * 1024, ge=1024)
    #: Room that is left free on the folder's disk. With less, media waits.
    media_free_disk_bytes: int = Field(default=1024 * 1024 * 1024, ge=0)
    #: Most downloads of one vendor at once, in one worker process.
    media_concurrency: int = Field(default=3, ge=1, le=64)
    #: Most downloads at once in one worker process.
    media_process_concurrency: int = Field(default=16, ge=1, le=256)
    #: Longest that one download may take.
    media_timeout_s: float = Field(default=300.0, gt=0, le=3600)
    #: Attempts at a file, each with a new address. After that PHP hears that it failed, and it
    #: becomes a dead letter.
    media_max_attempts: int = Field(default=5, ge=1, le=100)

    # -- shadow --

    #: How long PHP has to handle a webhook before it is asked what it did.
    shadow_window_s: float = Field(default=30.0, ge=0, le=3600)
    #: How long PHP is asked again where it has not done what the sidecar would have done.
    shadow_patience_s: float = Field(default=300.0, ge=0, le=86_400)
    #: Examples that are kept of each kind and class of comparison.
    shadow_examples: int = Field(default=20, ge=1, le=1000)
    #: Updates that must have been compared before a vendor is ready.
    parity_min_updates: int = Field(default=1000, ge=1)
    #: Time that the comparisons must span before a vendor is ready.
    parity_min_hours: float = Field(default=24.0, ge=0)

    # -- migration --

    #: Longest that a run of PHP's campaign cron goes on with rows that it has read. On a cutover
    #: nobody sends for this long.
    cron_settle_s: float = Field(default=10.0, ge=0, le=600)

    # -- workers --

    #: Longest that work in flight may take to end after SIGTERM. The service manager's own limit
    #: must be higher.
    shutdown_timeout_s: float = Field(default=30.0, ge=1, le=600)
    #: How long a dead worker's lease blocks the next one.
    lease_ttl_ms: int = Field(default=10_000, ge=500)
    #: How often the reconciler looks for unfinished work whose wake-up was lost.
    reconcile_interval_s: float = Field(default=1.0, ge=0.05)

    # -- audit --

    #: Actions of people that are kept: who did what from the console, the command line and PHP
    #: (`sidecar audit`). Older ones are forgotten.
    audit_entries: int = Field(default=10_000, ge=100, le=100_000)

    # -- console --

    #: Serve the web console under `/sidecar`. nginx needs `nginx/sidecar/console.conf` for it.
    console: bool = False
    #: Longest that somebody stays signed in to the console.
    console_session_s: int = Field(default=12 * 3600, ge=60, le=30 * 86_400)
    #: Somebody who does nothing in the console for so long is signed out.
    console_idle_s: int = Field(default=3600, ge=60, le=86_400)

    # -- notifications --

    #: Post what is wrong here, as signed JSON (`docs/contract.md`). May be an internal address; a
    #: secret, because some hold a token.
    notify_webhook_url: SecretUrl | None = Field(
        default=None, examples=["https://ops.example.com/hooks/sidecar"]
    )
    #: Keys for that, as in `signing_keys`, but of its own: whoever has it signs as the sidecar. The
    #: first one signs.
    notify_webhook_keys: Annotated[
        dict[str, SecretStr] | None,
        NoDecode,
        BeforeValidator(_parse_keys),
        AfterValidator(_check_keys),
    ] = Field(default=None, examples=["notify:put-another-secret-of-your-own-here"])
    #: Post what is wrong here, as Slack, Mattermost and others take it (an incoming webhook).
    notify_slack_url: SecretUrl | None = Field(
        default=None, examples=["https://hooks.slack.com/services/T0/B0/secret"]
    )
    #: Send what is wrong to these addresses by e-mail.
    notify_email_to: Annotated[
        list[str], NoDecode, BeforeValidator(_split_commas), AfterValidator(_check_mail)
    ] = []
    #: The sender of these e-mails. Not set: `sidecar@` and the machine's name.
    notify_email_from: str | None = Field(
        default=None, pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$", examples=["sidecar@example.com"]
    )
    #: Server that takes these e-mails.
    notify_smtp_host: str = "127.0.0.1"
    #: Its port. 587 with `starttls`, 465 with `tls`, 25 without.
    notify_smtp_port: int = Field(default=587, ge=1, le=65535)
    #: How the connection to it is encrypted. The certificate must be valid.
    notify_smtp_security: str = Field(default="starttls", pattern=r"^(starttls|tls|none)$")
    #: User at that server, if it asks for one.
    notify_smtp_user: str | None = Field(default=None, examples=["sidecar"])
    #: The user's password. It is never sent without encryption.
    notify_smtp_password: SecretStr | None = Field(default=None, examples=["put-it-here"])
    #: What people are to call this installation.
    notify_name: str = Field(default="WhatsApp sidecar", min_length=1, max_length=80)
    #: How long a problem must stand until people are told. What only a person can end is told of at
    #: once, what a cutover or a deployment brings about after ten times as long.
    notify_after_s: float = Field(default=30.0, ge=0, le=3600)
    #: How long it must be gone until people hear that it is over. Twice as long each time that it
    #: came back within a day, up to an hour.
    notify_clear_s: float = Field(default=120.0, ge=0, le=3600)

    # -- logs --

    #: Least severe events that are logged.
    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    #: `json` for machines, `console` for people.
    log_format: str = Field(default="json", pattern=r"^(json|console)$")

    # -- traces --

    #: Post spans here: OTLP over HTTP in JSON, as an OpenTelemetry collector takes it. Not set: no
    #: spans.
    otlp_url: HttpUrl | None = Field(default=None, examples=["http://127.0.0.1:4318/v1/traces"])
    #: Share of the webhooks and messages that get spans. Calls to PHP are few, and all get one.
    otlp_share: float = Field(default=0.01, gt=0, le=1)

    @model_validator(mode="after")
    def _check_notifications(self) -> Self:
        if self.notify_webhook_url is not None and not self.notify_webhook_keys:
            raise ValueError("notify_webhook_url needs notify_webhook_keys")
        if self.notify_smtp_password is not None and self.notify_smtp_security == "none":
            raise ValueError(
                "notify_smtp_password needs notify_smtp_security to be starttls or tls"
            )
        return self

    @model_validator(mode="after")
    def _check_replicas(self) -> Self:
        if not self.redis_replicas_in_sync:
            return self
        if self.redis_url is None:
            raise ValueError("redis_replicas_in_sync needs redis_url: the embedded Valkey has none")
        if 2 * self.redis_replicas_timeout_ms >= self.inbox_write_timeout_ms:
            raise ValueError(
                "redis_replicas_timeout_ms must be less than half of inbox_write_timeout_ms"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources = [init_settings, env_settings]
        if path := _config_file():
            try:
                sources.append(TomlConfigSettingsSource(settings_cls, path))
            except (OSError, ValueError) as error:
                raise InvalidSettings(f"{path} cannot be read: {error}") from None
        return tuple(sources)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the settings, or raise :class:`InvalidSettings`. ``overrides`` win over both."""
        _refuse_unknown_variables(set(cls.model_fields))
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise InvalidSettings(_explain(error)) from None

    @property
    def signing_key_id(self) -> str:
        return next(iter(self.signing_keys))

    @property
    def signing_secrets(self) -> dict[str, bytes]:
        return {k: v.get_secret_value().encode() for k, v in self.signing_keys.items()}

    @property
    def app_secret_bytes(self) -> tuple[bytes, ...]:
        return tuple(secret.get_secret_value().encode() for secret in self.app_secrets)


def dramatiq_url(settings: Settings, redis_url: str) -> str:
    """Return where Dramatiq keeps its wake-ups, given where the inbox is.

    Dramatiq's maintenance walks all keys of its database, so it gets one of its own.
    """
    return settings.dramatiq_redis_url or next_database(redis_url)


def _config_file() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise InvalidSettings(f"{CONFIG_VARIABLE} names {named}, which is not a file")
        return path
    default = Path(DEFAULT_CONFIG_FILE)
    return default if default.is_file() else None


def _refuse_unknown_variables(known: set[str]) -> None:
    for variable in sorted(os.environ):
        name = variable.removeprefix(ENV_PREFIX)
        if name == variable or variable == CONFIG_VARIABLE or name.lower() in known:
            continue
        raise InvalidSettings(f"there is no setting {variable}; see sidecar.example.toml")


def _explain(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    if not first["loc"]:  # of several that do not fit together
        return f"setting {first['msg'].removeprefix('Value error, ')}"
    name = str(first["loc"][0])
    where = f"{name} ({ENV_PREFIX}{name.upper()})"
    if first["type"] == "missing":
        if not (
            _config_file() or any(os.environ[v] for v in os.environ if v.startswith(ENV_PREFIX))
        ):
            return (
                f"there is no {DEFAULT_CONFIG_FILE} in {Path.cwd()} and {CONFIG_VARIABLE} is not "
                f"set: run this where {DEFAULT_CONFIG_FILE} is, or run sidecar init"
            )
        return f"setting {where} is missing: set it in the environment or the file"
    if first["type"] == "extra_forbidden":
        return f"there is no setting {name}; see sidecar.example.toml"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"setting {where} is wrong: {message}"
