"""Every error this product raises on purpose. The class docstring is the default message, with the cure."""

from contextlib import AbstractContextManager

from convergence_cluster.domain.calls import Answer


class ConvergenceError(Exception):
    """Something went wrong; see the message for what and how to mend it."""

    is_unsent = False
    """It came before anything of a call was sent, so that the call cannot have cost anything; see `before_sending`."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SpecError(ConvergenceError):
    """The study file is not valid; correct the line named and run `convergence validate`."""


class PermanentError(ConvergenceError):
    """The provider refused the call for good; repeating it would not help."""

    def __init__(self, message: str | None = None, *, answer: Answer | None = None) -> None:
        """`answer` came all the same and may cost something, of no use though it is."""
        super().__init__(message)
        self.answer = answer


class InfeasibleError(PermanentError):
    """The provider does not accept this configuration; it is left out of the search."""


class ProviderStopError(PermanentError):
    """The provider refuses every further call (no credit, or a wrong key); mend it and run `convergence resume`."""


class TransientError(ConvergenceError):
    """The call failed for a passing reason and may be repeated."""

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_s: float | None = None,
        kind: str = "error",
        is_outage: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.kind = kind
        self.is_outage = is_outage
        """The API could not be reached, did not answer in time, or failed by itself (5xx)."""


class StorageError(ConvergenceError):
    """The database does not answer, or does not take what is written; nothing was half-written."""


class BudgetExhausted(ConvergenceError):
    """The study's budget is spent; raise `budget` in the study file and run `convergence resume`."""


class LeaseLost(ConvergenceError):
    """Another process took over this study; this one makes no further paid call."""


class NotFound(ConvergenceError):
    """There is no such thing; `convergence status` lists the studies."""


class Conflict(ConvergenceError):
    """The stored state and this request do not fit together."""


class _Unsent:
    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ConvergenceError):
            error.is_unsent = True


_UNSENT = _Unsent()


def before_sending() -> AbstractContextManager[None, None]:
    """Mark what is raised within as raised before anything was sent. Around every call, so no generator is made."""
    return _UNSENT
