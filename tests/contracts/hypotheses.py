"""How the property tests run."""

from hypothesis import HealthCheck, settings

#: No time limit for an example: the machine may be busy with something else.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
