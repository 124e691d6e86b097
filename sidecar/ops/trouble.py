"""Why something could not be done, where Redis or PHP does not work: one line for a person."""

from sidecar.php.client import BackendError, BackendRefused
from sidecar.redis.client import AnyRedisError, RedisUnavailable, reason_of

#: What is raised where Redis or PHP is away, or says no.
TROUBLES = (BackendError, *AnyRedisError)


def trouble_text(error: Exception) -> str:
    """Return what one of :data:`TROUBLES` means, and what to try."""
    if isinstance(error, BackendRefused):
        return f"PHP refused the call: {error}"
    if isinstance(error, BackendError):
        return f"PHP call failed: {error}; sidecar check tries backend_url"
    what = "is unavailable" if isinstance(error, RedisUnavailable) else "refused a command"
    return f"Redis {what}: {reason_of(error)}; sidecar check tries redis_url"
