"""Accounts that may not send: locked, without a valid payment, restricted."""

from dataclasses import dataclass

from simulator.cloud_api.recipient import Magic, MagicKind
from simulator.cloud_api.refusal import Refusal


@dataclass(frozen=True, slots=True)
class AccountBlock:
    """``as_status``: messages are accepted, and fail by a status."""

    code: int
    as_status: bool = False


class AccountBlocks:
    """By account, what keeps it from sending."""

    def __init__(self) -> None:
        self._blocks: dict[str, AccountBlock] = {}

    def put(self, account_id: str, block: AccountBlock) -> None:
        self._blocks[account_id] = block

    def lift(self, account_ids: set[str]) -> int:
        """Return how many of these accounts were blocked."""
        blocked = account_ids & set(self._blocks)
        for account_id in blocked:
            del self._blocks[account_id]
        return len(blocked)

    def list(self) -> dict[str, AccountBlock]:
        return dict(self._blocks)

    def check(self, account_id: str) -> Magic | None:
        """Raise :class:`Refusal` if the account may not send; or return how its message fails."""
        block = self._blocks.get(account_id)
        if block is None:
            return None
        if block.as_status:
            return Magic(MagicKind.FAILED, block.code)
        raise Refusal(block.code)
