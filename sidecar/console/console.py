"""What the console's pages read, and act with."""

from dataclasses import dataclass
from functools import cached_property

from sidecar.console.attempts import Attempts
from sidecar.console.links import Links
from sidecar.console.notices import Notices
from sidecar.console.sessions import Sessions
from sidecar.console.streams import Streams
from sidecar.console.users import Users
from sidecar.inbox.wakeups import Wakeups
from sidecar.ops.audit import Audit
from sidecar.php.client import Backend
from sidecar.php.config_feed import ConfigChanges
from sidecar.php.vendors import Vendors
from sidecar.redis.client import Redis
from sidecar.sending.campaign_control import CampaignControl
from sidecar.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Console:
    """The process's own objects, which ``sidecar/http/app.py`` opens and closes, and what the
    console makes of them."""

    settings: Settings
    redis: Redis
    redis_url: str
    backend: Backend
    vendors: Vendors
    control: CampaignControl
    wakeups: Wakeups
    changes: ConfigChanges

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.redis, self.settings.audit_entries)

    @cached_property
    def users(self) -> Users:
        return Users(self.redis)

    @cached_property
    def sessions(self) -> Sessions:
        settings = self.settings
        return Sessions(
            self.redis, longest_s=settings.console_session_s, idle_s=settings.console_idle_s
        )

    @cached_property
    def attempts(self) -> Attempts:
        return Attempts(self.redis)

    @cached_property
    def links(self) -> Links:
        return Links(self.redis, self.settings.signing_secrets)

    @cached_property
    def streams(self) -> Streams:
        return Streams()

    @cached_property
    def notices(self) -> Notices:
        return Notices(self.settings.signing_secrets[self.settings.signing_key_id])
