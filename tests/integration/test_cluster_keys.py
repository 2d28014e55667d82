"""Keys of APIs belong to the workers; one without is told by its name."""

from pathlib import Path

from tests.cluster_runs import PATIENT_S, cluster
from tests.study_runs import predecessor_study, serving_llm


def test_a_worker_without_a_key_says_who_it_is_and_how_workers_get_keys(tmp_path: Path) -> None:
    with cluster(tmp_path, lease_s=PATIENT_S) as running, serving_llm("--landscape", "predecessor") as server:
        study = predecessor_study(server) | {"budget": {"calls": 20}}
        study["api"]["auth"] = {"type": "bearer", "token_env": "A_PROVIDERS_KEY"}
        running.folder.write(study)
        running.coordinator()
        running.worker(concurrency=4)

        done = running.folder.run("submit", "study.yaml", "--no-cache", A_PROVIDERS_KEY="known to this shell alone")

        n_requests = server.books()["requests"]
        logs = running.logs()

    lines = done.err.splitlines()
    assert done.code == 1, done.err + logs
    assert lines[0].startswith("error: the API refuses every further call: worker ")
    assert " cannot run it: its environment lacks A_PROVIDERS_KEY; workers have the keys of the environment" in lines[0]
    assert lines[0].endswith("start them again (on one machine: make down up)")
    assert "convergence resume" in lines[1]
    assert n_requests == 0
