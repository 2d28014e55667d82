"""More test cases by a model that rewords those given, each checked, within a cap on what it may cost."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from convergence_cluster.bootstrap.helpers import open_helper
from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.evaluators.rewording import Rewording
from convergence_cluster.metering.scoring import Scoring
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.problems import Problem, raise_all

_PLACE = ("evaluation", "test_cases", "augmentation", "model")


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmented:
    """What came of it."""

    cases: tuple[TestCase, ...]
    """Those given, then those made."""
    n_made: int
    n_wanted: int
    reasons: Mapping[str, int]
    """Why cases were left out, with how often."""
    usd: float
    is_out_of_money: bool


def augment(study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock, max_usd: float) -> Augmented:
    """Reword the cases of a study until there are as many as its `augmentation` wants. Runs its own event loop.

    Raises:
        SpecError: no model is named, its key is not set, or nothing bounds what it costs.
        ProviderStopError: the model refuses every question.
    """
    section = study.spec.evaluation.test_cases.augmentation.model or study.spec.evaluation.judge
    if section is None:
        message = "required: the endpoint and the model that rewords (evaluation.judge would do as well)"
        raise_all([Problem(path=_PLACE, message=message, file=study.file)])
        raise SpecError(message)
    missing = [name for name in section.auth.environment_names() if not environ.get(name)]
    raise_all(
        Problem(path=_PLACE, message=f"environment variable {name} is not set; expected the secret for calls")
        for name in missing
    )

    async def run() -> Augmented:
        helper, close = open_helper(section, "model", environ=environ, clock=clock)
        try:
            rewording = Rewording(helper, max_retries=section.max_retries)
            return await _reworded(study, rewording, max_usd=max_usd)
        finally:
            await close()

    return asyncio.run(run())


async def _reworded(study: LoadedStudy, rewording: Rewording, *, max_usd: float) -> Augmented:
    given = [case for case in study.all_cases if "augmented_from" not in case.metadata]
    n_wanted = round(len(given) * (study.spec.evaluation.test_cases.augmentation.augmentation_factor - 1.0))
    scoring, reasons, made = Scoring(), Counter[str](), list[TestCase]()
    seen = {repr(case.input) for case in given}
    is_out_of_money = False
    for attempt in range(max(n_wanted, 0)):
        case, number = given[attempt % len(given)], 1 + attempt // len(given)
        bound_usd = rewording.bound_usd(case)
        if bound_usd is None:
            message = "nothing bounds what it costs; give its prices, and a limit on output in its parameters"
            raise_all([Problem(path=_PLACE, message=message, file=study.file)])
        elif scoring.usd + bound_usd > max_usd:
            is_out_of_money = True
            break
        found = await rewording.reword(case, number=number, scoring=scoring)
        if isinstance(found, TestCase) and repr(found.input) in seen:
            found = "whose rewording was there before"
        if isinstance(found, str):
            reasons[found] += 1
        else:
            seen.add(repr(found.input))
            made.append(found)
    return Augmented(
        cases=(*given, *made),
        n_made=len(made),
        n_wanted=n_wanted,
        reasons=reasons,
        usd=scoring.usd,
        is_out_of_money=is_out_of_money,
    )
