"""Where the new arms of a space come from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.optimizers.arms import Proposal
from convergence_cluster.optimizers.breeding import BredCandidates
from convergence_cluster.optimizers.candidates import Candidates
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.listing import ListedCandidates, listed
from convergence_cluster.optimizers.policy import OperatorPolicy

Floats = NDArray[np.float64]


def candidates_of(
    codec: Codec,
    given: Sequence[Configuration] | None,
    policy: OperatorPolicy,
    *,
    is_modelled: bool,
    is_breeding: bool,
) -> tuple[Design, Candidates]:
    """Return the features of a space and where its new arms come from: a list where it is small, else breeding."""
    found = listed(codec, given)
    design = Design(codec, found[1] if found else None, is_useful=is_modelled)
    if found:
        return design, ListedCandidates(*found, design)
    return design, BredCandidates(codec, design, policy, is_breeding=is_breeding)


def foreign(codec: Codec, design: Design, configuration: Configuration) -> Proposal:
    """Return the proposal of a configuration that is not among the candidates, such as a pool's baseline."""
    row = codec.encode([configuration])
    return Proposal(configuration=configuration, features=design.features(row)[0], operator="", row=row[0])
