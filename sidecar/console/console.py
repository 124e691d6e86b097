"""What the console's pages read, and act with."""

from dataclasses import dataclass, field

from sidecar.console.attempts import Attempts
from sidecar.console.links import Links
from sidecar.console.notices import Notices
from sidecar.console.sessions import Sessions
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
    audit: Audit = field(init=False)
    users: Users = field(init=False)
    sessions: Sessions = field(init=False)
    attempts: Attempts = field(init=False)
    links: Links = field(init=False)
    notices: Notices = field(init=False)

    def __post_init__(self) -> None:
        made = {
            "audit": Audit(self.redis, self.settings.audit_entries),
            "users": Users(self.redis),
            "sessions": Sessions(
                self.redis,
                longest_s=self.settings.console_session_s,
                idle_s=self.settings.console_idle_s,
            ),
            "attempts": Attempts(self.redis),
            "links": Links(self.redis, self.settings.signing_secrets),
            "notices": Notices(self.settings.signing_secrets[self.settings.signing_key_id]),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
