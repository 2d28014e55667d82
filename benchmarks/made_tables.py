"""Tables of outcomes made up to be unlike the recorded ones: `python -m benchmarks.made_tables --out DIR`.

Thirteen shapes in the layout that `benchmarks.search` reads: leaderboards of language models, a grid of models, prompts
and temperatures, and options of programs whose speed is measured, with ties, heavy tails, or next to nothing to find.
Four of them are odd: nearly every call succeeds, or fails; few items decide; every configuration has its copies.
A search whose defaults were chosen on recorded tables is tried on them. They are simulated; nothing was recorded.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Made: TypeAlias = tuple[dict[str, NDArray[Any]], dict[str, str], Floats]
"""Parameters by name, their types, and scores of shape (n_configs, n_items)."""

FIRST_SEED = 100


def leaderboard(rng: np.random.Generator) -> Made:
    """Return 57 models of 14 vendors on 805 items: half of the scores are 0 or 1, the rest between."""
    vendor, size = rng.integers(0, 14, 57), rng.integers(0, 4, 57)
    ability = rng.normal(0, 0.5, 14)[vendor] + 0.5 * (size - 1.5) + rng.normal(0, 0.5, 57)
    steepness = np.exp(rng.normal(0, 0.3, 805))
    chance = _logistic(steepness * (ability[:, None] - rng.normal(0.8, 1.2, 805)) + rng.normal(0, 1.2, (57, 805)))
    score = np.where(rng.random(chance.shape) < 0.5, chance, rng.random(chance.shape) < chance)
    columns = {"model": np.arange(57).astype(str), "vendor": vendor.astype(str), "size": size.astype(str)}
    return columns, {"model": "categorical", "vendor": "categorical", "size": "ordinal"}, score


def solved(rng: np.random.Generator) -> Made:
    """Return 120 models of 20 families on 164 items that the best nearly all solve."""
    family = rng.integers(0, 20, 120)
    ability = rng.normal(0.8, 0.9, 20)[family] + rng.normal(0, 0.7, 120)
    chance = _logistic(1.5 * (ability[:, None] - rng.normal(-0.8, 1.5, 164)))
    columns = {"model": np.arange(120).astype(str), "family": family.astype(str)}
    return columns, {"model": "categorical", "family": "categorical"}, _coins(chance, rng)


def grid(rng: np.random.Generator) -> Made:
    """Return 8 models x 5 prompts x 6 temperatures on 300 items, with interactions."""
    model, prompt, heat = (axis.ravel() for axis in np.meshgrid(range(8), range(5), range(6), indexing="ij"))
    ability = rng.normal(0, 0.9, 8)[model] + rng.normal(0, 0.5, 5)[prompt] + rng.normal(0, 0.35, (8, 5))[model, prompt]
    ability -= 0.15 * ((heat - rng.integers(0, 6, 8)[model]) / 2.0) ** 2
    chance = _logistic(ability[:, None] - rng.normal(0, 1.3, 300) + rng.normal(0, 0.8, (240, 300)))
    columns = {"model": model.astype(str), "prompt": prompt.astype(str), "temperature": heat * 0.2}
    return columns, {"model": "categorical", "prompt": "categorical", "temperature": "float"}, _coins(chance, rng)


def prompts(rng: np.random.Generator) -> Made:
    """Return 1,200 prompts for 12 models in 9 formats and 6 styles on 100 items, several of them faultless."""
    model, form, style = rng.integers(0, 12, 1200), rng.integers(0, 9, 1200), rng.integers(0, 6, 1200)
    ability = rng.normal(-0.3, 1.0, 12)[model] + rng.normal(0, 0.5, 9)[form] + rng.normal(0, 0.6, (12, 9))[model, form]
    ability += rng.normal(0, 0.2, 6)[style] + rng.normal(0, 0.6, 1200)
    score = _coins(np.repeat(_logistic(ability)[:, None], 100, axis=1), rng)
    columns = {"model": model.astype(str), "format": form.astype(str), "style": style.astype(str)}
    return columns, dict.fromkeys(columns, "categorical"), score


def compiler(rng: np.random.Generator) -> Made:
    """Return 80 settings of 5 flags and a level on 30 items: some flags do nothing, so many settings are tied."""
    flags, level = rng.integers(0, 2, (80, 5)), rng.integers(0, 4, 80)
    gain = 0.4 * level / 3 + 0.3 * flags[:, 0] * (level > 1) + 0.1 * flags[:, 2]
    time = -gain[:, None] * np.exp(rng.normal(0, 0.4, 30)) + rng.normal(0, 0.01, (80, 30))
    columns = _flags(flags) | {"level": level.astype(str)}
    return columns, dict.fromkeys(_flags(flags), "bool") | {"level": "ordinal"}, _speed(time)


def solver(rng: np.random.Generator) -> Made:
    """Return 100 settings of 10 flags on 351 items, each flag good for some items and bad for others, heavy tails."""
    flags = rng.integers(0, 2, (100, 10))
    effects = rng.normal(0, 0.25, (10, 1)) + rng.normal(0, 0.6, (10, 351))
    time = flags @ effects + 0.5 * rng.standard_t(3, (100, 351))
    return _flags(flags), dict.fromkeys(_flags(flags), "bool"), _speed(time)


def runtime(rng: np.random.Generator) -> Made:
    """Return 50 settings of 6 flags on 1,939 items that all lie within 2 % of each other."""
    flags = rng.integers(0, 2, (50, 6))
    time = (flags @ rng.normal(0, 0.02, 6))[:, None] + 0.2 * rng.standard_t(4, (50, 1939))
    return _flags(flags), dict.fromkeys(_flags(flags), "bool"), _speed(time)


def converter(rng: np.random.Generator) -> Made:
    """Return 16 settings on 1,480 items whose sizes differ by far more than the settings do, all in one order."""
    form, level = np.arange(16) % 4, np.arange(16) // 4
    time = np.where(form == 0, -0.15, 0.0) + 0.03 * level
    time = time[:, None] * np.exp(rng.normal(0, 0.8, 1480)) + 0.03 * rng.normal(size=(16, 1480))
    return (
        {"format": form.astype(str), "level": level.astype(str)},
        {"format": "categorical", "level": "ordinal"},
        _speed(time),
    )


def numbers(rng: np.random.Generator) -> Made:
    """Return 300 settings of five numbers on 200 items, where the effect of one depends on another."""
    steps = rng.integers(0, 5, (300, 5))
    x = steps.T / 4
    gain = 1.2 * x[0] * x[1] - 0.8 * (x[2] - 0.7) ** 2 + 0.6 * np.sin(4 * x[3]) * x[0] - 0.5 * x[4] * (1 - x[1])
    time = -gain[:, None] * np.exp(rng.normal(0, 0.3, 200)) + 0.15 * rng.normal(size=(300, 200))
    return _flags(steps), dict.fromkeys(_flags(steps), "ordinal"), _speed(time)


def easy(rng: np.random.Generator) -> Made:
    """Return 15 models with 4 prompts on 1,000 items, nearly all of which any of them solves."""
    return _variants(1.0 - np.exp(rng.normal(-4.0, 1.0, 60)), rng)


def hard(rng: np.random.Generator) -> Made:
    """Return 15 models with 4 prompts on 1,000 items, hardly any of which any of them solves."""
    return _variants(np.exp(rng.normal(-4.2, 0.8, 60)), rng)


def rare(rng: np.random.Generator) -> Made:
    """Return 100 settings of three choices on 300 items, of which 15 are hard and the others solved by all."""
    choices = rng.integers(0, 5, (100, 3))
    ability = sum(rng.normal(0, 1, 5)[column] for column in choices.T)
    chance = np.full((100, 300), 0.997)
    chance[:, rng.choice(300, 15, replace=False)] = _logistic(
        1.5 * (np.asarray(ability)[:, None] - rng.normal(0, 1, 15))
    )
    return _flags(choices), dict.fromkeys(_flags(choices), "categorical"), _coins(chance, rng)


def copies(rng: np.random.Generator) -> Made:
    """Return 12 models on 150 items, each of them eight times under as many names."""
    chance = _logistic(rng.normal(0, 0.8, (12, 1)) - rng.normal(0, 1.2, 150) + rng.normal(0, 0.8, (12, 150)))
    model = np.repeat(np.arange(12), 8)
    columns = {"model": model.astype(str), "copy": np.tile(np.arange(8), 12).astype(str)}
    return columns, dict.fromkeys(columns, "categorical"), _coins(chance, rng)[model]


SHAPES: tuple[Callable[[np.random.Generator], Made], ...] = (
    leaderboard, solved, grid, prompts, compiler, solver, runtime, converter, numbers, easy, hard, rare,
    copies,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every table into a folder of its own below `--out`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.made_tables", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    options = parser.parse_args(arguments)
    for number, shape in enumerate(SHAPES):
        columns, params, score = shape(np.random.default_rng(options.seed + number))
        _write(options.out / f"made_{shape.__name__}", columns, params, score)
        print(f"made_{shape.__name__}: {score.shape[0]} configurations, {score.shape[1]} items")
    return 0


def _write(folder: Path, columns: Mapping[str, NDArray[Any]], params: Mapping[str, str], score: Floats) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(dict(columns))
    frame.insert(0, "config_id", [f"c{row}" for row in range(len(frame))])
    frame.to_parquet(folder / "configs.parquet")
    np.savez_compressed(folder / "arrays.npz", score=score.astype(np.float32))
    meta = {"name": folder.name, "kind": "made up", "params": dict(params), "n_items": score.shape[1]}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _variants(chance: Floats, rng: np.random.Generator) -> Made:
    """Return four prompts of each model, each with one chance on every one of 1,000 items."""
    place = np.arange(len(chance))
    columns = {"model": (place // 4).astype(str), "prompt": (place % 4).astype(str)}
    score = _coins(np.repeat(np.clip(chance, 0.0, 1.0)[:, None], 1000, axis=1), rng)
    return columns, dict.fromkeys(columns, "categorical"), score


def _logistic(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _coins(chance: Floats, rng: np.random.Generator) -> Floats:
    return (rng.random(chance.shape) < chance).astype(np.float64)


def _flags(values: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    return {f"option{k}": column.astype(str) for k, column in enumerate(values.T)}


def _speed(log_time: Floats) -> Floats:
    """Return scores from 0 to 1, one half being the median setting's time on the same item."""
    return np.asarray(1.0 / (1.0 + np.exp(log_time - np.median(log_time, axis=0))))


if __name__ == "__main__":
    raise SystemExit(main())
