"""The Marketing Messages API: ``POST /{version}/{phone_number_id}/marketing_messages``.

It takes marketing templates and nothing else, of accounts that are onboarded to it, and otherwise
does what ``/messages`` does, with the same limits. Statuses have the pricing category
``marketing_lite``. Where an account is not onboarded ``product_policy`` decides: the message goes
as if by ``/messages``, or is refused. An account may have ``/messages`` refuse marketing templates
(``disable_marketing_messages_on_cloud_api``). A template that is not listed is marketing.
"""

from dataclasses import dataclass

from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.request import Policy
from simulator.cloud_api.template import TemplateCategory, TemplateConfig, TemplateSync

_MARKETING_ONLY = 131063
_NOT_MARKETING = 134100
_SYNCING = 134101
_UNAVAILABLE = 134102


@dataclass(slots=True)
class MarketingAccount:
    marketing_messages_onboarded: bool
    disable_marketing_messages_on_cloud_api: bool


class MarketingAccounts:
    """By account, how its marketing templates may go."""

    def __init__(self, config: CloudApiConfig) -> None:
        self._onboarded = config.marketing_messages_onboarded
        self._disabled = config.disable_marketing_messages_on_cloud_api
        self._accounts: dict[str, MarketingAccount] = {}
        for one in config.accounts:
            account = self.of(one.account_id)
            if one.marketing_messages_onboarded is not None:
                account.marketing_messages_onboarded = one.marketing_messages_onboarded
            if (disabled := one.disable_marketing_messages_on_cloud_api) is not None:
                account.disable_marketing_messages_on_cloud_api = disabled

    def of(self, account_id: str) -> MarketingAccount:
        """Return an account as it is, to be changed."""
        if account_id not in self._accounts:
            self._accounts[account_id] = MarketingAccount(self._onboarded, self._disabled)
        return self._accounts[account_id]

    def check(
        self, account_id: str, template: TemplateConfig | None, policy: Policy | None
    ) -> bool:
        """Raise :class:`Refusal` unless a template may go by ``/marketing_messages`` or, without a
        policy, by ``/messages``. Return whether it goes by the Marketing Messages API."""
        account = self.of(account_id)
        is_marketing = template is None or template.category is TemplateCategory.MARKETING
        if policy is not None:
            if not is_marketing:
                raise Refusal(_NOT_MARKETING, "You're only able to send marketing messages.")
            if account.marketing_messages_onboarded:
                _check_sync(template)
                return True
            if policy is Policy.STRICT:
                raise Refusal(_UNAVAILABLE, "Check your eligibility status: you are not onboarded.")
        if is_marketing and account.disable_marketing_messages_on_cloud_api:
            raise Refusal(
                _MARKETING_ONLY,
                "Your template is categorized as Marketing, but marketing templates are currently "
                "disabled for your Cloud API configuration.",
            )
        return False


def _check_sync(template: TemplateConfig | None) -> None:
    if template is None or template.sync is TemplateSync.SYNCED:
        return
    if template.sync is TemplateSync.SYNCING:
        raise Refusal(_SYNCING, "Syncing a template can take up to 10 minutes. Wait a few minutes.")
    raise Refusal(_UNAVAILABLE, f"Template ({template.name}) could not be synced.")
