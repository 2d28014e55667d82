"""What a call costs, or costs at most: the user's prices, the provider's word, then genai-prices offline."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

import genai_prices
from genai_prices import data_snapshot, types

from convergence_cluster.domain.calls import Usage
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import digest

_PER_MILLION = 1e-6
_LISTED = f"genai-prices {genai_prices.__version__}"
_VERSION_CHARS = 8
"""Of the digest that tells the prices of one sitting from those of another; they may change in between."""
_TOKENS_OVERHEAD = 64
"""Roles, separators and the like that a chat adds to its texts."""

_Listing: TypeAlias = tuple[types.Provider, types.ModelInfo]


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What the user says a model, or any call, costs."""

    input_per_million_usd: float = 0.0
    output_per_million_usd: float = 0.0
    cached_per_million_usd: float | None = None
    """None: as other input."""
    cache_write_per_million_usd: float | None = None
    """None: as other input."""
    long_write_per_million_usd: float | None = None
    """Of what is kept in a cache for an hour. None: as other writes."""
    per_call_usd: float = 0.0

    def usd(self, usage: Usage | None) -> float | None:
        """Return the cost in USD, or None where it depends on tokens that nobody counted."""
        if usage is None:
            is_flat = self.input_per_million_usd == 0.0 and self.output_per_million_usd == 0.0
            return self.per_call_usd if is_flat else None
        cached = self.input_per_million_usd if self.cached_per_million_usd is None else self.cached_per_million_usd
        write = self.cache_write_per_million_usd
        written = self.input_per_million_usd if write is None else write
        kept = written if self.long_write_per_million_usd is None else self.long_write_per_million_usd
        plain_tokens = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
        return self.per_call_usd + _PER_MILLION * (
            plain_tokens * self.input_per_million_usd
            + usage.cached_tokens * cached
            + (usage.cache_write_tokens - usage.long_write_tokens) * written
            + usage.long_write_tokens * kept
            + usage.output_tokens * self.output_per_million_usd
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """An amount, and whose word it is."""

    usd: float
    source: str
    """`study file` with a digest of its prices, `provider`, or the price list with its version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceSettings:
    """Where prices may come from, in this order."""

    by_model: Mapping[str, Price] = field(default_factory=dict)
    """The user's own, by the model name that the configuration uses; `*` stands for every other model."""
    api_url: str | None = None
    """Picks the provider in the list. Prices of a hosted model are not those of the same model at home."""
    provider_id: str | None = None
    """Picks the provider in the list whatever the URL, for gateways."""


class Prices:
    """Turns usage into money. Makes no request: the list is the one installed."""

    def __init__(self, settings: PriceSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._listings: dict[str, _Listing | None] = {}
        version = digest({name: asdict(price) for name, price in settings.by_model.items()})
        self._own_source = f"study file, prices {version[:_VERSION_CHARS]}"

    def cost(self, *, model: str | None, usage: Usage | None, reported_usd: float | None = None) -> Cost | None:
        """Return what one answered attempt cost, or None where nobody can say."""
        own = self._own(model)
        usd = None if own is None else own.usd(usage)
        if usd is not None:
            return Cost(usd=usd, source=self._own_source)
        if reported_usd is not None:
            return Cost(usd=reported_usd, source="provider")
        listed = None if usage is None else self._listed(model)
        if listed is None or usage is None:
            return None
        return Cost(usd=listed_price(listed, usage.input_tokens).usd(usage) or 0.0, source=_LISTED)

    def upper_bound(self, *, model: str | None, n_input_chars: int, max_output_tokens: int | None) -> float | None:
        """Return the most that one attempt can cost, or None where nothing bounds it.

        A token is at least one byte of text, so `n_input_chars` should count UTF-8 bytes; output is bounded only by the
        request's own limit. Reasoning counts as output.
        """
        n_input = n_input_chars + _TOKENS_OVERHEAD
        own = self._own(model)
        listed = self._listed(model) if own is None else None
        price = own if listed is None else listed_price(listed, n_input)
        if price is None or (max_output_tokens is None and price.output_per_million_usd > 0.0):
            return None
        writes = (price.cache_write_per_million_usd or 0.0, price.long_write_per_million_usd or 0.0)
        dearest = max(price.input_per_million_usd, price.cached_per_million_usd or 0.0, *writes)
        output_usd = (max_output_tokens or 0) * price.output_per_million_usd
        return price.per_call_usd + _PER_MILLION * (n_input * dearest + output_usd)

    def _own(self, model: str | None) -> Price | None:
        by_model = self._settings.by_model
        return by_model.get(model or "*") or by_model.get("*")

    def _listed(self, model: str | None) -> types.ModelPrice | None:
        if model is None or (self._settings.api_url is None and self._settings.provider_id is None):
            return None
        if model not in self._listings:
            self._listings[model] = self._look_up(model)
        listing = self._listings[model]
        if listing is None:
            return None
        price = listing[1].get_prices(datetime.fromtimestamp(self._clock.now_s(), tz=UTC))
        return None if price.input_mtok is None and price.output_mtok is None else price

    def _look_up(self, model: str) -> _Listing | None:
        snapshot = data_snapshot.get_snapshot()
        url = None if self._settings.provider_id else self._settings.api_url
        try:
            return snapshot.find_provider_model(model, None, self._settings.provider_id, url)
        except LookupError:
            return None


def listed_price(price: types.ModelPrice, n_input_tokens: int) -> Price:
    """Return a list entry as plain numbers, at the tier that this much input falls into.

    The list's own arithmetic costs 0.1 ms and more a call; this gives the same sums (a test compares them).
    """

    def per_million(value: Decimal | types.TieredPrices | None) -> float | None:
        if isinstance(value, types.TieredPrices):
            tiers = sorted((tier for tier in value.tiers if n_input_tokens > tier.start), key=lambda tier: tier.start)
            return float(tiers[-1].price if tiers else value.base)
        return None if value is None else float(value)

    requests_usd = price.requests_kcount
    return Price(
        input_per_million_usd=per_million(price.input_mtok) or 0.0,
        output_per_million_usd=per_million(price.output_mtok) or 0.0,
        cached_per_million_usd=per_million(price.cache_read_mtok),
        cache_write_per_million_usd=per_million(price.cache_write_mtok),
        long_write_per_million_usd=per_million(price.cache_write_1h_mtok),
        per_call_usd=(per_million(requests_usd) or 0.0) / 1000.0,
    )
