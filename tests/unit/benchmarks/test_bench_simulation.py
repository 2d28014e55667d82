"""Simulated workers, the methods they serve, and the figures made of their answers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmarks.bounds import calls_for_last_choice, calls_needed
from benchmarks.methods_bandits import AsyncHalving, TopTwoThompson, UpperBounds
from benchmarks.methods_genetic import GeneticSearch
from benchmarks.methods_planned import (
    Step,
    answers_at,
    random_order,
    sequential_halving,
    successive_halving,
    uniform_subset,
)
from benchmarks.registry import Setup, entries
from benchmarks.search import main
from benchmarks.simulation import Method, Result, Verdict, Work, checkpoints, simulate
from benchmarks.summaries import calls_to, calls_to_interval, summarize_budgets
from benchmarks.tables import Table
from benchmarks.worlds import World, draw_world


def make_table(n_rows: int = 24, n_items: int = 40) -> Table:
    rng = np.random.default_rng(4)
    heat = np.tile(np.arange(6) / 5, n_rows // 6)
    model = np.repeat(np.arange(n_rows // 6), 6)
    quality = np.clip(0.3 + 0.1 * model + 0.2 * heat, 0, 1)
    score = np.clip(quality[:, None] + rng.normal(0, 0.15, size=(n_rows, n_items)), 0, 1).astype(np.float32)
    return Table(
        name="toy",
        params={"model": "categorical", "heat": "float"},
        columns={
            "config_id": list(range(n_rows)),
            "model": [f"m{value}" for value in model],
            "heat": heat.tolist(),
        },
        score=score,
    )


class Recorder:
    """Draws one row after the other and notes how many calls were out at once."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows
        self.n_asked = self.n_told = self.n_most = 0
        self.seen: list[Result] = []

    def ask(self) -> Work | None:
        if self.n_asked == self.n_rows:
            return None
        self.n_asked += 1
        return Work(row=self.n_asked - 1, items=(0, 1, 2), tag=7)

    def tell(self, result: Result) -> None:
        self.n_most = max(self.n_most, 3 * self.n_asked - len(self.seen))
        self.seen.append(result)

    def recommend(self) -> Verdict | None:
        best = max(self.seen, key=lambda result: result.score)
        return Verdict(row=best.row, reported=best.score, low=0.0, high=1.0)


def test_so_many_calls_are_out_at_once_and_each_comes_back_with_its_outcome() -> None:
    world = draw_world(make_table(), 0)
    method = Recorder(24)

    trace = simulate(method, world, n_workers=5, points=checkpoints(1000))

    assert trace.n_calls == 72
    assert trace.is_stopped
    assert 5 <= method.n_most <= 7
    assert {result.tag for result in method.seen} == {7}
    assert all(result.score == pytest.approx(world.outcomes[0, result.row, result.item]) for result in method.seen)
    assert [result.row for result in method.seen] != sorted(result.row for result in method.seen)


def test_no_call_is_made_beyond_the_horizon() -> None:
    trace = simulate(Recorder(24), draw_world(make_table(), 0), n_workers=5, points=checkpoints(20))

    assert trace.n_calls == 20
    assert not trace.is_stopped


def test_checkpoints_rise_to_the_horizon() -> None:
    points = checkpoints(1000)

    assert points[-1] == 1000
    assert list(points) == sorted(set(points))


SIMULATED: dict[str, Callable[[World], Method]] = {
    "asha": lambda world: AsyncHalving(world, first=2, eta=2),
    "ucb-e": lambda world: UpperBounds(world, exploration=0.25),
    "top-two": TopTwoThompson,
}


@pytest.mark.parametrize("name", SIMULATED)
@pytest.mark.parametrize("n_workers", [1, 8])
def test_a_bandit_finds_a_good_row_and_never_draws_a_cell_twice(name: str, n_workers: int) -> None:
    regrets = []
    for seed in range(6):
        world = draw_world(make_table(), seed)
        method = SIMULATED[name](world)
        seen: list[Result] = []
        tell = method.tell
        method.tell = lambda result, seen=seen, tell=tell: (seen.append(result), tell(result))[-1]  # type: ignore[method-assign,misc]  # a spy
        trace = simulate(method, world, n_workers=n_workers, points=checkpoints(960))
        assert len({(r.row, r.item, r.repeat) for r in seen}) == len(seen)
        verdict = trace.verdicts[-1]
        assert verdict is not None
        regrets.append(world.regret(verdict.row))

    assert np.mean(regrets) < 0.04


@pytest.mark.parametrize("name", ["tpe-25", "nsga2", "wilcoxon"])
def test_a_sampler_of_optuna_runs_on_a_pool(name: str) -> None:
    table = make_table()
    setup = Setup(table=table, world=draw_world(table, 1), n_workers=4, horizon=600, max_trials=15)
    entry = entries()[name]

    trace = simulate(entry.builds[list(entry.builds)[-1]](setup), setup.world, n_workers=4, points=checkpoints(600))

    verdict = trace.verdicts[-1]
    assert verdict is not None
    assert setup.world.regret(verdict.row) < 0.3


def test_halving_pays_only_for_new_draws_and_rounds_up() -> None:
    table = make_table(n_rows=96)

    steps = successive_halving(draw_world(table, 0), 10_000)

    first = next(step for step in steps if step.setting == "r0=1")
    assert first.calls == 96 * 1 + 48 * 1 + 24 * 2 + 12 * 4 + 6 * 8 + 3 * 16 + 2 * 8


@pytest.mark.parametrize("plan", [random_order, uniform_subset, successive_halving, sequential_halving])
def test_a_plan_with_enough_calls_finds_the_best(plan: Callable[[World, int], list[Step]]) -> None:
    world = draw_world(make_table(), 3)

    steps = plan(world, 10_000)

    assert world.regret(steps[-1].verdict.row) < 0.02
    assert [step.calls for step in steps] == sorted(step.calls for step in steps)
    assert plan(world, 10) == []


def test_the_predecessor_reports_its_luckiest_draw() -> None:
    rng = np.random.default_rng(0)
    table = replace(make_table(), repeats=rng.integers(0, 2, size=(24, 40, 3)).astype(np.float32))
    table = replace(table, score=np.asarray(table.repeats).mean(axis=2))
    search = GeneticSearch(table)

    gaps = []
    for seed in range(5):
        world = draw_world(table, seed)
        steps = search(world, 20 * 40 * 5)
        assert [step.calls for step in steps] == [800, 1600, 2400, 3200, 4000]
        gaps.append(steps[-1].verdict.reported - world.true_mean[steps[-1].verdict.row])

    assert np.mean(gaps) > 0.05


def test_the_last_answer_stays_until_the_next() -> None:
    verdicts = [Verdict(row=row, reported=0.0, low=0.0, high=0.0) for row in range(2)]
    steps = [Step(calls=10, verdict=verdicts[0]), Step(calls=20, verdict=verdicts[1])]

    assert answers_at(steps, (5, 10, 19, 20, 30)) == [None, verdicts[0], verdicts[0], verdicts[1], verdicts[1]]


def test_calls_to_counts_from_where_it_stays_good_in_nine_of_ten_seeds() -> None:
    good, late, relapse = [0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0]
    points = (10, 20, 30, 40)

    assert calls_to(np.array([good] * 9 + [late]), points, 0.01) == 10
    assert calls_to(np.array([good] * 8 + [late] * 2), points, 0.01) == 20
    assert calls_to(np.array([good] * 8 + [relapse] * 2), points, 0.01) == 40
    assert calls_to(np.array([[0.5] * 4] * 10), points, 0.01) is None


def test_the_bootstrap_interval_holds_the_figure() -> None:
    rng = np.random.default_rng(0)
    points = checkpoints(1000)
    regrets = np.array([np.where(np.array(points) < rng.integers(100, 400), 0.5, 0.0) for _ in range(50)])

    low, high = calls_to_interval(regrets, points, 0.01)

    assert low is not None
    assert high is not None
    assert low <= (calls_to(regrets, points, 0.01) or 0) <= high
    assert low < high


def test_a_tuned_budget_is_the_cheapest_good_one_and_an_untuned_one_must_stay_good() -> None:
    def record(regrets: list[float]) -> dict[str, object]:
        base = {"reported_minus_true": 0.0, "covered": 1.0}
        runs = [{"setting": f"s{i}", "calls": 100 * (i + 1), "regret": r, **base} for i, r in enumerate(regrets)]
        return {"setting": "", "seed": 0, "cpu_ms_per_call": 0.0, "runs": runs}

    records = [record([0.3, 0.0, 0.2, 0.0])] * 10

    assert summarize_budgets(records, is_tuned=True)["calls_to_1pct"] == 200
    assert summarize_budgets(records, is_tuned=False)["calls_to_1pct"] == 400


def test_the_bound_grows_with_noise_and_falls_with_the_slack() -> None:
    quiet = make_table()
    noisy = replace(quiet, score=np.round(quiet.score))

    assert calls_needed(quiet, 0.05) < calls_needed(quiet, 0.01)
    assert calls_needed(quiet, 0.01) >= 24
    assert calls_needed(noisy, 0.01) > calls_needed(quiet, 0.01)


def test_who_is_told_all_but_one_parameter_still_has_to_choose_among_the_rows_that_share_the_others() -> None:
    table = make_table()
    best_model = np.flatnonzero([model == "m3" for model in table.columns["model"]])
    rest = replace(
        table,
        score=table.score[best_model],
        columns={name: [values[row] for row in best_model] for name, values in table.columns.items()},
    )

    told = calls_for_last_choice(table, 0.01)

    assert told < calls_needed(table, 0.01)
    assert told == pytest.approx(calls_needed(rest, 0.01), rel=0.2)  # cases' effects are estimated from fewer rows


def write_table(table: Table, folder: Path) -> None:
    folder.mkdir(parents=True)
    pd.DataFrame(table.columns).to_parquet(folder / "configs.parquet")
    np.savez(folder / "arrays.npz", score=table.score)
    (folder / "meta.json").write_text(json.dumps({"params": table.params}))


@pytest.mark.parametrize(
    "score", [np.full((1, 10), 0.5), np.zeros((3, 10))], ids=["a single configuration", "nothing that scores"]
)
def test_the_command_judges_tables_on_which_no_answer_is_wrong(tmp_path: Path, score: NDArray[np.float64]) -> None:
    names = [f"m{row}" for row in range(len(score))]
    table = Table(name="toy", params={"model": "categorical"}, columns={"model": names}, score=score.astype(np.float32))
    write_table(table, tmp_path / "data" / "toy")
    command = ["--data", str(tmp_path / "data"), "--methods", "ours,halving,sequential,uniform,random,top-two,asha"]

    assert main([*command, "--seeds", "2", "--workers", "2", "--jobs", "1", "--out", str(tmp_path / "out")]) == 0

    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["mean_regret_at"] for row in results["summary"] if any(row["mean_regret_at"].values())] == []


def test_the_command_writes_all_results_and_does_not_repeat_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, data, out = make_table(), tmp_path / "data", tmp_path / "out"
    write_table(table, data / "toy")
    command = ["--data", str(data), "--methods", "halving,top-two,asha", "--workers", "4", "--jobs", "1"]

    assert main([*command, "--seeds", "2", "--out", str(out)]) == 0
    runs = next(out.rglob("top-two.jsonl"))
    before = runs.read_text()
    assert main([*command, "--seeds", "3", "--out", str(out)]) == 0

    results = json.loads((out / "results.json").read_text())
    assert runs.read_text().startswith(before)
    assert len(runs.read_text().split()) == 3
    assert {row["method"] for row in results["summary"]} == {"halving", "top-two", "asha"}
    assert set(results["summary"][0]) >= {
        "table",
        "calls_to_1pct",
        "calls_to_2pct",
        "mean_regret_at",
        "reported_minus_true",
        "interval_coverage",
        "tied_set_coverage",
        "cpu_ms_per_call",
    }
    assert (out / "toy.svg").exists()
    assert "| top-two |" in capsys.readouterr().out


def test_an_unknown_method_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--methods", "nothing", "--out", str(tmp_path)]) == 2
    assert "unknown methods nothing" in capsys.readouterr().err
