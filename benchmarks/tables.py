"""Recorded outcomes: what every configuration of a pool scored on every item, read from a folder of tables.

Layout: one folder a table with `meta.json` (`params`: name to type), `configs.parquet` (one row a configuration) and,
where single outcomes were recorded, `arrays.npz` with `score` of shape (n_configs, n_items), higher is better, and
perhaps `reps` of shape (n_configs, n_items, n_repeats). Other tables recorded only successes per configuration:
`successes` of `test_cases`, or `successes_of_100` per task in a table with `tasks`. Tables may lie one folder deeper.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

N_SUCCESSES_OF = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One pool of configurations with all their outcomes."""

    name: str
    params: dict[str, str]
    """Parameter to its type as the table's author calls it."""
    columns: dict[str, list[Any]]
    """Parameter to its value in every row; None: absent. `config_id` identifies the row."""
    score: NDArray[np.float32]
    """Shape (n_configs, n_items): the mean over the repeats, where there are several."""
    repeats: NDArray[np.float32] | None = None
    """Shape (n_configs, n_items, n_repeats), NaN where absent; the present ones come first."""
    is_aggregate: bool = False
    """Only counts were recorded: the items are pseudo-items, and no two rows share one."""

    @property
    def true_mean(self) -> NDArray[np.float64]:
        """Shape (n_configs,): what a search tries to maximise."""
        return np.asarray(self.score.mean(axis=1, dtype=np.float64))

    @property
    def n_repeats(self) -> int:
        """How often one configuration can be drawn on one item."""
        return 1 if self.repeats is None else self.repeats.shape[2]


def table_names(folder: Path) -> list[str]:
    """Return the names of all tables below a folder, a task of a table with tasks as `<table>:<task>`."""
    names: list[str] = []
    for path, meta in _metas(folder):
        short = path.name.split("_")[0]
        names += [f"{short}:{task.split('/')[-1]}" for task in meta.get("tasks", [])] or [path.name]
    return names


def read_table(folder: Path, name: str) -> Table:
    """Return one table.

    Raises:
        LookupError: no table has this name.
    """
    table, _, task = name.partition(":")
    for path, meta in _metas(folder):
        if task and meta.get("tasks") and path.name.split("_")[0] == table:
            configs = pd.read_parquet(path / "configs.parquet")
            configs = configs[configs["task"] == task].reset_index(drop=True)
            if len(configs):
                if "config_id" not in configs:
                    ids = configs["model"].astype(str) + "#" + configs["prompt_idx"].astype(str)
                    configs = configs.assign(config_id=ids)
                return _from_counts(name, meta, configs)
        elif not task and path.name == table:
            return _read_plain(name, path, meta)
    raise LookupError(f"no table {name!r} in {folder}; there are {', '.join(table_names(folder))}")


def _metas(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for meta in sorted([*folder.glob("*/meta.json"), *folder.glob("*/*/meta.json")]):
        yield meta.parent, json.loads(meta.read_text(encoding="utf-8"))


def _read_plain(name: str, path: Path, meta: dict[str, Any]) -> Table:
    configs = pd.read_parquet(path / "configs.parquet")
    if not (path / "arrays.npz").exists():
        return _from_counts(name, meta, configs)
    with np.load(path / "arrays.npz") as arrays:
        score = arrays["score"].astype(np.float32)
        repeats = arrays["reps"].astype(np.float32) if "reps" in arrays.files else None
        if repeats is not None and arrays["reps"].dtype.kind != "f":
            repeats[repeats < 0] = np.nan
    return Table(name=name, params=dict(meta["params"]), columns=_columns(configs, meta), score=score, repeats=repeats)


def _from_counts(name: str, meta: dict[str, Any], configs: pd.DataFrame) -> Table:
    if "successes_of_100" in configs:
        n_items, shares = N_SUCCESSES_OF, configs["successes_of_100"] / N_SUCCESSES_OF
    else:
        n_items, shares = int(meta["n_items"]), configs["successes"] / configs["test_cases"]
    successes = np.rint(shares.to_numpy() * n_items)
    score = (np.arange(n_items)[None, :] < successes[:, None]).astype(np.float32)
    return Table(
        name=name, params=dict(meta["params"]), columns=_columns(configs, meta), score=score, is_aggregate=True
    )


def _columns(configs: pd.DataFrame, meta: dict[str, Any]) -> dict[str, list[Any]]:
    """Keep only what is known before the first evaluation."""
    columns = {}
    for name in ("config_id", *meta["params"]):
        if name in configs:
            values = configs[name].tolist()
            columns[name] = [None if value is None or value != value else value for value in values]  # noqa: PLR0124
    columns.setdefault("config_id", list(range(len(configs))))
    return columns
