"""A judge, its labels, assertions in files and several draws: all of it on workers of a cluster."""

import json
from pathlib import Path

import pytest

from tests.cluster_runs import PATIENT_S, cluster
from tests.integration.test_study_judged import KEY, USD_PER_TOKEN, judged_study, judging
from tests.study_runs import serving_llm


def test_scoring_by_a_model_is_the_same_on_workers(tmp_path: Path) -> None:
    with (
        cluster(tmp_path, lease_s=PATIENT_S) as running,
        judging() as judge,
        serving_llm("--landscape", "predecessor", "--latency-ms", "10", "--seed", "3") as server,
    ):
        study = judged_study(server, judge, calls=30)
        rows = [{"prompt": f"Question {n}", "answer": "No.", "label": n % 2} for n in range(4)]
        (tmp_path / "labels.json").write_text(json.dumps(rows))
        (tmp_path / "check.py").write_text("def get_assert(output, context):\n    return 87\n")
        study["evaluation"]["metrics"] |= {
            "good": {"type": "llm_judge", "rubric": "Is it right?", "labels": "labels.json"},
            "checked": {"function": "python", "value": "file://check.py"},
            "sure": {"function": "pass^k", "repeats": 2, "of": "good", "threshold": 0.5},
        }
        running.folder.write(study)
        running.coordinator(JUDGE_KEY=KEY)
        running.worker(concurrency=4, JUDGE_KEY=KEY)

        done = running.folder.run("submit", "study.yaml", "--no-cache", JUDGE_KEY=KEY)

        books = running.folder.books()
        scoring = [entry for entry in books.ledger if entry["kind"] == "scoring"]
        n_judged = len(judge.keys)
        logs = running.logs()

    assert done.code == 0, done.err + logs
    assert 24 <= books.n_attempts <= 30  # what is kept for retries may be too little for two draws
    assert n_judged == 4 + books.n_attempts
    assert sum(entry["usd"] for entry in scoring) == pytest.approx(judge.n_tokens * USD_PER_TOKEN, abs=1e-6)
    assert "good: the judge agrees with" in done.out
    assert f"checked: {books.n_attempts // 2} values of {books.n_attempts // 2} outside" in done.out
    assert {row["metrics"]["checked"] for key, row in books.calls.items() if "checked" in row["metrics"]} == {1.0}
    assert KEY not in logs + done.out
