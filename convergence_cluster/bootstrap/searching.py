"""From a loaded study to the search: the problem it solves, the algorithm that solves it, the score it climbs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from convergence_cluster.coordinator.protocols import ResumableOptimizer
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import Elite, KnownArm, KnownCase, Legacy, SearchProblem
from convergence_cluster.evaluators.scoring import Utility, score, with_scales
from convergence_cluster.optimizers.baselines import GridSearch, RandomSearch
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch
from convergence_cluster.optimizers.racing import RacingSearch
from convergence_cluster.spec.loading import LoadedStudy


class ScoredMetrics:
    """The study's score over raw metrics; scales are filled in once."""

    def __init__(self, study: LoadedStudy) -> None:
        self.utilities: tuple[Utility, ...] = tuple(
            Utility(name=metric.name, weight=metric.weight, direction=metric.direction, scale=metric.scale)
            for metric in study.metrics
        )

    def unscaled(self) -> Sequence[str]:
        """Return the metrics whose scale the baseline's own calls must fix."""
        return tuple(utility.name for utility in self.utilities if utility.needs_scale)

    def calibrate(self, scales: Mapping[str, float]) -> None:
        """Fix the scales for good."""
        self.utilities = with_scales(self.utilities, scales)

    def score(self, metrics: Mapping[str, float]) -> float:
        """Return the weighted mean of utilities, in [0, 1]."""
        return score(metrics, self.utilities)


def build_optimizer(study: LoadedStudy, problem: SearchProblem) -> ResumableOptimizer:
    """Return the search that the study asks for."""
    match study.spec.optimization.algorithm:
        case "random":
            return RandomSearch(problem)
        case "grid":
            return GridSearch(problem)
        case "tpe":
            return OptunaSearch(problem, sampler="tpe")
        case "nsga2":
            return OptunaSearch(problem, sampler="nsga2")
        case "mab_evolution" | "genetic" | "mab_only":
            return RacingSearch(problem)


def dump_legacy(legacy: Legacy) -> Json:
    """Return a legacy as JSON, so that a resumed study starts from exactly the same one."""
    return json.loads(json.dumps(asdict(legacy)))


def parse_legacy(document: Json) -> Legacy:
    """Return the legacy that `dump_legacy` wrote."""
    return Legacy(
        elites=tuple(Elite(**elite) for elite in document["elites"]),
        arms=tuple(_known_arm(arm) for arm in document.get("arms", ())),
        cases=tuple(KnownCase(**case) for case in document.get("cases", ())),
        policy=document["policy"],
    )


def _known_arm(values: Mapping[str, Any]) -> KnownArm:
    return KnownArm(**{**values, "cases": tuple((case, score) for case, score in values["cases"])})
