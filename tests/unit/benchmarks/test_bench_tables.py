"""Reading recorded tables and making problems and worlds of them."""
# ruff: noqa: PD011  - `values` are those of a parameter, not of a data frame

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from benchmarks.pools import NearestRow, open_space, pool_problem
from benchmarks.tables import Table, read_table, table_names
from benchmarks.worlds import draw_world
from convergence_cluster.domain.space import ParameterKind

REPLAY = Path(os.environ.get("CONVERGENCE_REPLAY", Path(__file__).parents[4] / "shared" / "data" / "replay"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plain = tmp_path / "plain"
    plain.mkdir()
    rng = np.random.default_rng(0)
    reps = rng.integers(0, 2, size=(4, 6, 3)).astype(np.int8)
    reps[0, 0, 2] = -1
    np.savez(plain / "arrays.npz", score=np.where(reps < 0, 0, reps).mean(axis=2), reps=reps)
    pd.DataFrame(
        {
            "config_id": list("wxyz"),
            "model": ["a", "a", "b", "b"],
            "heat": [0.0, 0.5, 0.0, 1.0],
            "fast": [0, 1, 0, 1],
            "effort": [None, None, "high", "low"],
            "same": [1, 1, 1, 1],
            "seen_cost": [1.0, 2.0, 3.0, 4.0],
        }
    ).to_parquet(plain / "configs.parquet")
    params = {"model": "categorical", "heat": "float", "fast": "bool", "effort": "categorical", "same": "int"}
    (plain / "meta.json").write_text(json.dumps({"params": params, "n_items": 6}))
    tasks = tmp_path / "deeper" / "many_prompts"
    tasks.mkdir(parents=True)
    pd.DataFrame(
        {
            "task": ["t1", "t1", "t2"],
            "model": ["a", "b", "a"],
            "prompt_idx": [1, 1, 2],
            "successes_of_100": [10, 99, 50],
        }
    ).to_parquet(tasks / "configs.parquet")
    meta = {"params": {"model": "categorical", "prompt_idx": "categorical id"}, "tasks": ["F/t1", "F/t2"]}
    (tasks / "meta.json").write_text(json.dumps(meta))
    return tmp_path


def test_all_tables_of_a_folder_are_found(folder: Path) -> None:
    assert table_names(folder) == ["many:t1", "many:t2", "plain"]


def test_a_table_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(LookupError, match=r"no table 'nothing'.*plain"):
        read_table(folder, "nothing")


def test_counts_become_pseudo_items_with_the_same_mean(folder: Path) -> None:
    table = read_table(folder, "many:t1")

    assert table.is_aggregate
    assert table.score.shape == (2, 100)
    assert table.true_mean == pytest.approx([0.10, 0.99])
    assert table.columns["config_id"] == ["a#1", "b#1"]


def test_recorded_outcomes_are_not_parameters(folder: Path) -> None:
    problem = pool_problem(read_table(folder, "plain"))

    assert [parameter.name for parameter in problem.space.parameters] == ["model", "heat", "fast", "effort"]
    assert problem.space.candidates is not None
    assert problem.space.candidates[0] == {"model": "a", "heat": 0.0, "fast": False}
    assert problem.space.candidates[3] == {"model": "b", "heat": 1.0, "fast": True, "effort": "low"}
    assert (problem.n_cases, problem.max_repeats) == (6, 3)


def test_parameters_say_how_their_values_relate(folder: Path) -> None:
    parameters = {p.name: p for p in pool_problem(read_table(folder, "plain")).space.parameters}

    assert parameters["heat"].kind is ParameterKind.ORDINAL
    assert parameters["heat"].values == (0.0, 0.5, 1.0)
    assert parameters["fast"].values == (False, True)
    assert parameters["effort"].values == ("high", "low")


def test_rows_that_share_all_parameters_are_told_apart_by_their_id() -> None:
    table = Table(
        name="t",
        params={"model": "categorical"},
        columns={"config_id": ["x", "y"], "model": ["a", "a"]},
        score=np.zeros((2, 3), dtype=np.float32),
    )

    candidates = pool_problem(table).space.candidates

    assert candidates == ({"config_id": "x"}, {"config_id": "y"})


def test_every_row_is_nearest_to_itself(folder: Path) -> None:
    table = read_table(folder, "plain")
    nearest = NearestRow(table)

    rows = [{n: "absent" if v[row] is None else v[row] for n, v in table.columns.items()} for row in range(4)]

    assert [nearest(row) for row in rows] == [0, 1, 2, 3]
    assert "absent" in open_space(table).parameters[3].values


def test_a_world_keeps_true_means_and_depends_on_its_seed_alone(folder: Path) -> None:
    table = read_table(folder, "plain")

    world, same, other = draw_world(table, 1), draw_world(table, 1), draw_world(table, 2)

    assert np.array_equal(world.outcomes, same.outcomes)
    assert not np.array_equal(world.outcomes, other.outcomes)
    assert world.outcomes.shape == (3, 4, 6)
    assert world.outcomes[:, 1:].mean(axis=(0, 2)) == pytest.approx(table.true_mean[1:])
    assert not np.isnan(world.outcomes).any()


def test_draws_go_pass_after_pass_in_one_order(folder: Path) -> None:
    world = draw_world(read_table(folder, "plain"), 1)

    draws = world.draws()

    assert draws.shape == (4, 18)
    assert draws[2, 6:12] == pytest.approx(world.outcomes[1, 2])


@pytest.fixture(scope="module")
def published() -> ModuleType:
    if not (REPLAY / "replay.py").exists():
        pytest.skip(f"no recorded tables in {REPLAY}")
    spec = importlib.util.spec_from_file_location("published_replay", REPLAY / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the publisher leaves files open
def test_tables_are_those_that_their_publisher_reads(published: ModuleType) -> None:
    assert sorted(table_names(REPLAY)) == sorted(published.names())
    for name in ("renze_temperature", "aider_polyglot", "editbench", "sowa:homophones"):
        ours, theirs = read_table(REPLAY, name), published.load(name)
        assert ours.score.shape == theirs.score.shape
        assert ours.true_mean == pytest.approx(theirs.true_mean, abs=1e-6)
        assert ours.columns["config_id"] == theirs.configs["config_id"].tolist()
        assert ours.is_aggregate == theirs.aggregate
        assert (ours.repeats is None) == (theirs.reps is None)
