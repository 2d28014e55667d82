"""What a real API does to its clients now and then, each kind with its share of the attempts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

SHARES = ("rate_limited", "overloaded", "server_error", "cut", "malformed", "refused", "no_money", "unauthorized")
"""Faults that exclude each other: one number decides which of them, if any, an attempt meets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """The switches. Every share is in [0, 1]; those of SHARES sum to at most 1."""

    rate_limited: float = 0.0
    """429 with Retry-After."""
    overloaded: float = 0.0
    """503 without a hint."""
    server_error: float = 0.0
    """500."""
    cut: float = 0.0
    """The connection closes in the middle of the body."""
    malformed: float = 0.0
    """200 with a body that is not JSON."""
    refused: float = 0.0
    """The model declines: `message.refusal`, no content. Billed."""
    no_money: float = 0.0
    """429 with code `insufficient_quota`: no later call will be accepted."""
    unauthorized: float = 0.0
    """401."""
    slow: float = 0.0
    """`slow_s` is added to the latency; may meet any other fault."""
    slow_s: float = 5.0
    retry_after_s: float = 1.0
    requests_per_s: float = 0.0
    """A real limit: faster requests get 429 with the seconds until the next is admitted; 0: none."""
    first_attempts: int = 0
    """Only so many first attempts of each key meet faults, so that the next one succeeds; 0: all may."""
    infeasible: tuple[str, ...] = ()
    """Parameters that the server does not accept in any request: 400 naming the parameter."""

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in (*SHARES, "slow")}
        for name, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name}: {share} is not a share; expected a number from 0 to 1")
        if sum(shares[name] for name in SHARES) > 1.0 + 1e-9:
            raise ValueError(f"the shares of {', '.join(SHARES)} sum to more than 1")
        if min(self.slow_s, self.retry_after_s, self.requests_per_s) < 0.0:
            raise ValueError("slow_s, retry_after_s and requests_per_s: expected at least 0")

    @property
    def is_calm(self) -> bool:
        """Say whether no attempt can meet a fault."""
        return not any(getattr(self, name) for name in (*SHARES, "slow"))

    def choose(self, uniform: float, attempt: int) -> str | None:
        """Return the fault of SHARES that a number in (0, 1) stands for, or None. Attempts count from 0."""
        if 0 < self.first_attempts <= attempt:
            return None
        for name in SHARES:
            uniform -= getattr(self, name)
            if uniform < 0.0:
                return name
        return None

    def changed(self, changes: Mapping[str, Any]) -> "Faults":
        """Return these switches with some of them set anew.

        Raises:
            ValueError: a name is no switch, or a value is no share or not of the switch's type.
        """
        known = {item.name for item in fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise ValueError(f"unknown fault {unknown[0]!r}; expected one of {', '.join(sorted(known))}")
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})


def _checked(name: str, value: Any) -> Any:
    if name == "infeasible":
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ValueError(f"infeasible: {value!r}; expected a list of parameter names")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: {value!r}; expected a number")  # noqa: TRY004  a bad value of JSON, not a bug
    return int(value) if name == "first_attempts" else float(value)
