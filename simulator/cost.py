"""What a campaign has cost: calls to the backend, SQL statements, and processor time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.installation import Installation


@dataclass(frozen=True, slots=True)
class Cost:
    """``requests`` by the backend's endpoint; ``cpu_s`` by part, and all workers as one."""

    requests: Mapping[str, int]
    statements: int
    cpu_s: Mapping[str, float]

    @classmethod
    def of(cls, installation: Installation) -> "Cost":
        """Return the cost so far of all that runs."""
        cpu_s: dict[str, float] = {}
        for name, process in installation.processes.items():
            kind = "workers" if name.startswith("worker") else name
            cpu_s[kind] = cpu_s.get(kind, 0.0) + process.cpu_s()
        return cls(installation.backend_requests(), installation.backend_statements(), cpu_s)

    def since(self, earlier: "Cost") -> "Cost":
        """Return what has been spent since then."""
        return Cost(
            dict(Counter(self.requests) - Counter(earlier.requests)),
            self.statements - earlier.statements,
            {kind: spent - earlier.cpu_s.get(kind, 0.0) for kind, spent in self.cpu_s.items()},
        )

    @property
    def calls(self) -> int:
        """Requests to all endpoints."""
        return sum(self.requests.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "backend_requests": self.calls,
            "backend_requests_by_endpoint": dict(self.requests),
            "sql_statements": self.statements,
            "cpu_s": {kind: round(spent, 2) for kind, spent in self.cpu_s.items()},
        }
