"""What the server saw: the other side of a client's books, for tests that compare the two."""

from collections import Counter, defaultdict
from typing import Any


class Accounting:
    """Counts of attempts by key, their times, what they would have cost. Kept in memory until reset."""

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        """Attempts by idempotency key, or by digest of the body where a request has no key."""
        self._statuses: Counter[int] = Counter()
        self._server_ms: defaultdict[str, list[float]] = defaultdict(list)
        self._in_flight = 0
        self._in_flight_max = 0
        self._usd = 0.0

    def begin(self, key: str) -> int:
        """Count an attempt and return how many of its key came before it."""
        self._in_flight += 1
        self._in_flight_max = max(self._in_flight_max, self._in_flight)
        before = self.hits[key]
        self.hits[key] = before + 1
        return before

    def end(self, key: str, status: int, server_s: float, usd: float) -> None:
        """Close an attempt. Status 499: the client went away before its answer."""
        self._in_flight -= 1
        self._statuses[status] += 1
        self._server_ms[key].append(round(server_s * 1000.0, 3))
        self._usd += usd

    def report(self, cpu_s: float, *, with_keys: bool) -> dict[str, Any]:
        """Return everything as JSON; the per-key parts only where asked for."""
        total = {
            "requests": sum(self.hits.values()),
            "distinct_keys": len(self.hits),
            "repeated_keys": sum(1 for count in self.hits.values() if count > 1),
            "in_flight": self._in_flight,
            "in_flight_max": self._in_flight_max,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "usd": self._usd,
            "cpu_s": cpu_s,
        }
        return total | ({"hits": dict(self.hits), "server_ms": dict(self._server_ms)} if with_keys else {})
