"""An API with an endpoint for each model."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.errors import InfeasibleError, before_sending


class Target(Protocol):
    """One endpoint."""

    async def send(self, request: Request) -> Answer:
        """Send one attempt."""
        ...


class RoutedProvider:
    """Sends each attempt to the endpoint of its configuration's `model`."""

    def __init__(
        self, by_model: Mapping[str, Target], *, default: Target | None, close: Callable[[], Awaitable[None]]
    ) -> None:
        self._by_model = by_model
        self._default = default
        self._close = close

    async def send(self, request: Request) -> Answer:
        """Send one attempt.

        Raises:
            InfeasibleError: the model has no endpoint.
        """
        model = request.configuration.get("model")
        target = self._by_model.get(model, self._default) if isinstance(model, str) else self._default
        if target is None:
            with before_sending():
                raise InfeasibleError(f"model {model!r} has no endpoint; api.models has {', '.join(self._by_model)}")
        return await target.send(request)

    async def close(self) -> None:
        """Free the connections of all endpoints."""
        await self._close()
