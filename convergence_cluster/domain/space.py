"""The search space: which configurations exist."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from convergence_cluster.domain.identity import Configuration, Json, canonical_json


class ParameterKind(StrEnum):
    """How the values of a parameter relate to each other."""

    CATEGORICAL = "categorical"
    """`values` in no order: models, prompts, flags, anything JSON."""
    ORDINAL = "ordinal"
    """`values` are ascending numbers: 256, 512, 1024."""
    INTEGER = "integer"
    """Every whole number `low + k * step` up to and including `high`."""
    CONTINUOUS = "continuous"
    """A real number in [`low`, `high`]; with a `step`, only `low + k * step`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One dimension of the search space."""

    name: str
    kind: ParameterKind
    values: tuple[Json, ...] = ()
    low: float = 0.0
    high: float = 1.0
    step: float | None = None
    log: bool = False
    when: Mapping[str, tuple[Json, ...]] | None = None
    """Applies only while each named parameter applies and has one of the given values; None: always."""

    def applies(self, configuration: Configuration) -> bool:
        """Say whether this parameter is part of a configuration whose earlier parameters are chosen."""
        if self.when is None:
            return True
        return all(
            name in configuration and canonical_json(configuration[name]) in {canonical_json(v) for v in allowed}
            for name, allowed in self.when.items()
        )

    def grid(self) -> tuple[Json, ...] | None:
        """Return every value in order, or None for a continuous parameter without a step."""
        if self.kind in {ParameterKind.CATEGORICAL, ParameterKind.ORDINAL}:
            return self.values
        if self.step is None:
            return None
        n_steps = int((self.high - self.low) / self.step + 1e-9)
        if self.kind is ParameterKind.INTEGER:
            return tuple(round(self.low + k * self.step) for k in range(n_steps + 1))
        return tuple(float(f"{self.low + k * self.step:.12g}") for k in range(n_steps + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """Parameters in an order in which every `when` names only earlier ones, or a finite list of configurations."""

    parameters: tuple[Parameter, ...]
    candidates: tuple[Configuration, ...] | None = None
    """Where given, exactly these configurations exist and `parameters` only describe them for a model."""
