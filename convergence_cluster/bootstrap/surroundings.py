"""What the calls of all workers share through Redis: pace, circuit breakers, remembered answers."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from convergence_cluster.bootstrap.caching import OpenStore
from convergence_cluster.dispatch.answer_store import RedisAnswers
from convergence_cluster.dispatch.connections import Names, connect_async
from convergence_cluster.dispatch.holding import Holds
from convergence_cluster.metering.breaker import Breakers, Guarded
from convergence_cluster.metering.shared_rate import SharedLimiter, limit_key
from convergence_cluster.metering.shared_state import SharedState
from convergence_cluster.settings import Settings
from convergence_cluster.spec.environment import resolve_endpoint
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.trials.fencing import Fenced
from convergence_cluster.trials.protocols import AnswerStore, Limiter, Provider
from convergence_cluster.trials.running import model_of

_MB = 1_000_000
_S_PER_DAY = 86_400.0


class ClusterSurroundings:
    """Shared with every worker of a cluster through Redis. Used from one asyncio loop; studies of one account share.

    A limit is per host and credential, whatever the queue: all clusters on one Redis keep to it together.
    """

    def __init__(self, settings: Settings, *, environ: Mapping[str, str], holds: Holds) -> None:
        assert settings.broker_url is not None
        client = connect_async(settings.broker_url, sentinel_master=settings.sentinel_master)
        names = Names(queue=settings.queue)
        self._shared = SharedState(client)
        self._environ = environ
        self._holds = holds
        self._breakers: dict[str, Breakers] = {}
        self._limiters: dict[tuple[str, tuple[float | None, float | None, int | None]], SharedLimiter] = {}
        self._store: AnswerStore | None = None
        if settings.cache_mb > 0:
            max_age_s = settings.cache_days * _S_PER_DAY
            self._store = RedisAnswers(client, names, max_bytes=int(settings.cache_mb * _MB), max_age_s=max_age_s)

    def limiter(self, study: LoadedStudy) -> Limiter:
        """Return what paces a study's calls; nobody whose lease is over gets a turn."""
        rate = study.spec.api.rate
        credential = "\n".join(self._environ.get(name, "") for name in study.spec.api.auth.environment_names())
        key = limit_key(self._host(study), credential or None)
        limits = (rate.rpm, rate.tpm, rate.concurrency)
        if (key, limits) not in self._limiters:
            rpm, tpm, concurrency = limits
            limiter = SharedLimiter(self._shared, key, rpm=rpm, tpm=tpm, concurrency=concurrency)
            self._limiters[key, limits] = limiter
        return Fenced(self._limiters[key, limits], self._holds.check)

    def guarded(self, study: LoadedStudy, provider: Provider) -> Provider:
        """Return the provider behind the cluster's circuit breakers."""
        host = self._host(study)
        if host not in self._breakers:
            self._breakers[host] = Breakers(self._shared, host)
        body = study.spec.api.request.body
        fixed = model_of(body) if isinstance(body, Mapping) else None
        return Guarded(provider, self._breakers[host], model=fixed)

    async def close(self) -> None:
        """Give back at once the places that nobody here needs any more; the others would wait for them to expire."""
        await asyncio.gather(*(limiter.close() for limiter in self._limiters.values()))

    @property
    def open_store(self) -> OpenStore | None:
        """What opens the store of remembered answers, or None where calls are not remembered."""
        store = self._store
        return None if store is None else lambda: store

    def circuits(self) -> dict[tuple[str, str], bool]:
        """Return of every host and model that was called whether it is left alone now. From any thread."""
        found = [(host, breakers.states()) for host, breakers in list(self._breakers.items())]
        return {(host, model): is_open for host, states in found for model, is_open in states.items()}

    def _host(self, study: LoadedStudy) -> str:
        api = study.spec.api
        url = api.endpoint or next((model.endpoint for model in (api.models or {}).values()), "")
        return urlsplit(resolve_endpoint(url, self._environ)).netloc.rpartition("@")[2] or "local"
