"""Retrying."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stamina.instrumentation import set_on_retry_hooks

from convergence_cluster.domain.errors import ConvergenceError, PermanentError, TransientError
from convergence_cluster.metering.retry import RetryPolicy, Tally, silence_stamina, with_retries
from tests.unit.metering.virtual_time import now_s, run


class Flaky:
    """Raises each of `errors` in turn, then answers."""

    def __init__(self, tally: Tally, *errors: ConvergenceError) -> None:
        self.tally = tally
        self.errors = list(errors)
        self.sent_at_s: list[float] = []

    async def __call__(self) -> str:
        self.tally.n_attempts += 1
        self.sent_at_s.append(now_s())
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def attempt(
    *errors: ConvergenceError,
    policy: RetryPolicy | None = None,
    jitter: float = 0.0,
    reserve: Callable[[], bool] = lambda: True,
) -> tuple[str | ConvergenceError, list[float], Tally]:
    tally = Tally()
    flaky = Flaky(tally, *errors)

    async def act() -> str | ConvergenceError:
        try:
            return await with_retries(
                flaky, policy=policy or RetryPolicy(), tally=tally, jitter=lambda: jitter, reserve=reserve
            )
        except ConvergenceError as error:
            return error

    return run(act()), flaky.sent_at_s, tally


def test_an_answer_at_once_waits_for_nothing() -> None:
    answer, sent_at_s, tally = attempt()

    assert (answer, sent_at_s, tally.waited_s) == ("answer", [0.0], 0.0)


def test_pauses_double_up_to_the_longest() -> None:
    answer, sent_at_s, tally = attempt(*[TransientError() for _ in range(6)], policy=RetryPolicy(max_retries=6))

    assert answer == "answer"
    assert sent_at_s == pytest.approx([0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5])
    assert tally.waited_s == pytest.approx(23.5)


def test_the_providers_wish_overrules_the_backoff() -> None:
    _, sent_at_s, tally = attempt(TransientError(retry_after_s=37.0), TransientError(retry_after_s=0.0))

    assert sent_at_s == pytest.approx([0.0, 37.0, 37.0])
    assert tally.waited_s == pytest.approx(37.0)


def test_a_wish_beyond_the_longest_wait_gives_up_at_once() -> None:
    error = TransientError(retry_after_s=121.0)

    answer, sent_at_s, _ = attempt(error)

    assert answer is error
    assert sent_at_s == [0.0]


def test_the_last_error_is_raised_after_all_retries() -> None:
    errors = [TransientError(str(n)) for n in range(9)]

    answer, sent_at_s, tally = attempt(*errors, policy=RetryPolicy(max_retries=2))

    assert answer is errors[2]
    assert len(sent_at_s) == tally.n_attempts == 3


def test_no_retries_means_one_attempt() -> None:
    answer, sent_at_s, _ = attempt(TransientError(), policy=RetryPolicy(max_retries=0))

    assert isinstance(answer, TransientError)
    assert sent_at_s == [0.0]


def test_a_lasting_error_is_not_repeated() -> None:
    lasting = PermanentError("no")

    answer, sent_at_s, _ = attempt(TransientError(), lasting)

    assert answer is lasting
    assert len(sent_at_s) == 2


def test_each_attempt_beyond_the_first_asks_for_money() -> None:
    grants = iter([True, False])

    answer, sent_at_s, _ = attempt(*[TransientError() for _ in range(9)], reserve=lambda: next(grants))

    assert isinstance(answer, TransientError)
    assert len(sent_at_s) == 2


def test_silenced_retries_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silence_stamina()
    try:
        attempt(TransientError("quiet please"))
    finally:
        set_on_retry_hooks(None)

    assert capsys.readouterr() == ("", "")


@given(
    n_failed=st.integers(min_value=1, max_value=3),
    jitter=st.floats(min_value=0.0, max_value=1.0, exclude_max=True),
    wish_s=st.none() | st.floats(min_value=0.0, max_value=120.0),
)
def test_jitter_never_undercuts_a_wish_and_never_outlasts_the_backoff(
    n_failed: int, jitter: float, wish_s: float | None
) -> None:
    wait_s = RetryPolicy().wait_s(n_failed, TransientError(retry_after_s=wish_s), jitter)

    assert wait_s is not None
    if wish_s is None:
        assert 0.75 * 0.5 * 2 ** (n_failed - 1) <= wait_s <= 0.5 * 2 ** (n_failed - 1)
    else:
        assert wish_s <= wait_s <= 1.1 * wish_s
