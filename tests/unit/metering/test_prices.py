"""What calls cost."""

from collections.abc import Iterator
from datetime import UTC, datetime

import genai_prices
import pytest
from genai_prices import data_snapshot, types

from convergence_cluster.domain.calls import Usage
from convergence_cluster.metering.prices import Price, Prices, PriceSettings, listed_price
from tests.unit.metering.virtual_time import FixedClock

OPENAI = "https://api.openai.com/v1/chat/completions"
USAGE = Usage(input_tokens=1_000_000, output_tokens=500_000, cached_tokens=400_000)


def prices(**settings: object) -> Prices:
    return Prices(PriceSettings(**settings), clock=FixedClock())  # type: ignore[arg-type]  # named as the settings are


def text_models() -> Iterator[tuple[types.Provider, types.ModelInfo, types.ModelPrice]]:
    now = datetime.fromtimestamp(FixedClock().now_s(), tz=UTC)
    known = {
        "input_mtok",
        "output_mtok",
        "cache_read_mtok",
        "cache_write_mtok",
        "cache_write_1h_mtok",
        "requests_kcount",
    }
    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models:
            price = model.get_prices(now)
            if {name for name, value in vars(price).items() if value is not None} <= known:
                yield provider, model, price


@pytest.mark.parametrize("n_input", [1_000, 150_000, 300_000, 2_000_000])
def test_our_sums_are_the_lists_own(n_input: int) -> None:
    usage = Usage(
        input_tokens=n_input, output_tokens=7_000, cached_tokens=n_input // 3, cache_write_tokens=n_input // 5
    )
    n_compared = 0

    for provider, model, price in text_models():
        theirs = price.calc_price(
            genai_prices.Usage(
                input_tokens=n_input,
                output_tokens=7_000,
                cache_read_tokens=n_input // 3,
                cache_write_tokens=n_input // 5,
            )
        )["total_price"]
        ours = listed_price(price, n_input).usd(usage)
        assert ours == pytest.approx(float(theirs), rel=1e-9), (provider.id, model.id)
        n_compared += 1

    assert n_compared > 300


def test_the_users_price_comes_before_the_providers_word_and_the_list() -> None:
    own = Price(input_per_million_usd=1.0, output_per_million_usd=2.0, cached_per_million_usd=0.1)

    cost = prices(by_model={"gpt-4.1-mini": own}, api_url=OPENAI).cost(
        model="gpt-4.1-mini", usage=USAGE, reported_usd=9.0
    )

    assert cost is not None
    assert cost.usd == pytest.approx(0.6 * 1.0 + 0.4 * 0.1 + 0.5 * 2.0)
    assert cost.source.startswith("study file, prices ")


def test_other_prices_in_the_study_file_are_another_source() -> None:
    def source_of(usd: float) -> str:
        cost = prices(by_model={"*": Price(per_call_usd=usd)}).cost(model="m", usage=None)
        assert cost is not None
        return cost.source

    assert source_of(0.1) == source_of(0.1)
    assert source_of(0.1) != source_of(0.2)


def test_the_providers_word_comes_before_the_list() -> None:
    cost = prices(api_url=OPENAI).cost(model="gpt-4.1-mini", usage=USAGE, reported_usd=9.0)

    assert cost is not None
    assert (cost.usd, cost.source) == (9.0, "provider")


def test_the_list_names_its_version() -> None:
    cost = prices(api_url=OPENAI).cost(model="gpt-4.1-mini", usage=Usage(input_tokens=1_000_000, output_tokens=0))

    assert cost is not None
    assert cost.usd == pytest.approx(0.4)
    assert cost.source == f"genai-prices {genai_prices.__version__}"


@pytest.mark.parametrize(
    ("model", "url", "usage"),
    [
        ("gpt-4.1-mini", "http://localhost:8000/v1", USAGE),
        ("gpt-4.1-mini", None, USAGE),
        ("no-such-model", OPENAI, USAGE),
        (None, OPENAI, USAGE),
        ("gpt-4.1-mini", OPENAI, None),
    ],
)
def test_where_nobody_knows_the_price_there_is_none(model: str | None, url: str | None, usage: Usage | None) -> None:
    assert prices(api_url=url).cost(model=model, usage=usage) is None


def test_a_model_that_is_listed_without_a_price_has_none() -> None:
    unpriced = [
        (provider, model)
        for provider, model, price in text_models()
        if not any(value is not None for value in vars(price).values())
    ]

    assert len(unpriced) > 10
    for provider, model in unpriced:
        assert prices(provider_id=provider.id).cost(model=model.id, usage=USAGE) is None


def test_a_price_per_call_needs_no_tokens() -> None:
    cost = prices(by_model={"*": Price(per_call_usd=0.002)}).cost(model="anything", usage=None)

    assert cost is not None
    assert cost.usd == 0.002


def test_a_gateways_models_are_priced_by_the_provider_named() -> None:
    gateway = prices(api_url="https://gateway.example.com/v1", provider_id="openai")

    assert gateway.cost(model="gpt-4.1-mini", usage=USAGE) is not None


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "gpt-4o", "gpt-4.1-nano"])
def test_no_call_within_its_bounds_costs_more_than_its_upper_bound(model: str) -> None:
    listed = prices(api_url=OPENAI)
    text = "Ünïcödé, wörd by wörd. " * 40

    bound = listed.upper_bound(model=model, n_input_chars=len(text.encode()), max_output_tokens=256)
    dearest = listed.cost(model=model, usage=Usage(input_tokens=len(text.encode()), output_tokens=256))

    assert bound is not None
    assert dearest is not None
    assert dearest.usd <= bound <= 2.0 * dearest.usd


def test_nothing_bounds_a_call_without_a_token_limit_or_a_price() -> None:
    listed = prices(api_url=OPENAI)

    assert listed.upper_bound(model="gpt-4.1-mini", n_input_chars=10, max_output_tokens=None) is None
    assert listed.upper_bound(model="no-such-model", n_input_chars=10, max_output_tokens=10) is None


def test_a_price_per_call_bounds_itself() -> None:
    flat = prices(by_model={"*": Price(per_call_usd=0.01)})

    assert flat.upper_bound(model=None, n_input_chars=10**9, max_output_tokens=None) == 0.01
