"""The recorded answer of an ended study."""

from convergence_cluster.bootstrap.answers import RecordedSearch, dump_answer
from convergence_cluster.coordinator.trajectory import Point
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.journal import Asked, History
from convergence_cluster.domain.search import HOLDOUT, ArmEstimate, ArmState, Block, Interval, Recommendation

SCORE = Interval(mean=0.5, low=0.25, high=0.75)
ARM = ArmEstimate(
    arm=ArmId(3),
    configuration={"model": "m", "stop": None, "temperature": 0.1},
    state=ArmState.DEAD,
    operator="elite",
    score=SCORE,
    n_calls=4,
    n_cases=3,
    p_best=0.125,
    objectives=(SCORE,),
    is_feasible=False,
)


def _answer(best: ArmEstimate | None) -> Recommendation:
    return Recommendation(
        best=best,
        baseline=best,
        change=SCORE if best else None,
        tied=(ARM,),
        front=(ARM, ARM),
        p_within=0.5,
        gain_per_100_calls=0.01,
        n_arms=2,
        n_alive=1,
        n_calls=9,
        arms=(ARM,),
    )


def test_a_recorded_answer_is_the_answer() -> None:
    points = [Point(n_calls=5, arm=ArmId(3), score=SCORE)]

    for best in (ARM, None):
        recorded = RecordedSearch(dump_answer(_answer(best), points), History())

        assert recorded.recommend() == recorded.recommend(full=True) == _answer(best)
        assert recorded.points == points


def test_a_recorded_search_decides_what_was_decided() -> None:
    asked = Block(arm=ArmId(0), configuration={}, cases=(1, 2))
    extra = Block(arm=ArmId(0), configuration={}, cases=(9,), operator=HOLDOUT)
    history = History(events=(Asked(block=asked, reserved_usd=0.0), Asked(block=extra, reserved_usd=0.0)))

    recorded = RecordedSearch(dump_answer(_answer(ARM), []), history)

    assert [recorded.ask(), recorded.ask()] == [asked, None]
