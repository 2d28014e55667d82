"""`convergence up` to `down`, as its user does it: nothing set by hand, nothing left behind."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convergence_cluster.machine.orphans import is_alive
from convergence_cluster.storage.living import process_identity
from tests.machine_cluster import Machine, machine_cluster
from tests.study_runs import Server, predecessor_study, serving_llm, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "20", "--seed", "3") as started:
        yield started


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    path = tmp_path_factory.mktemp("machine")
    (path / ".env").write_text("A_PROVIDERS_KEY=key-from-the-env-file\n")
    with machine_cluster(path, "--workers", "1") as started:
        yield started


def small(server: Server, *, calls: int = 40) -> dict[str, Any]:
    return predecessor_study(server, parallel_workers=8) | {"budget": {"calls": calls}}


def status_row(machine: Machine, study: str) -> str:
    return " ".join(machine.folder.run("status", study, COLUMNS="160").out.splitlines()[-1].split())


def test_a_study_submitted_in_the_same_folder_runs_on_the_cluster_that_is_up(machine: Machine, server: Server) -> None:
    machine.folder.write(small(server))

    done = machine.folder.run("submit", "study.yaml", "-q", "--new")
    study = machine.folder.run("submit", "study.yaml", "--detach", "--new").out.strip()
    watched = machine.folder.run("watch", study, "-q")

    assert done.code == 0, done.err + machine.logs()
    assert watched.code == 0, watched.err
    row = status_row(machine, study)
    n_calls = machine.folder.books(study=study).n_attempts
    assert row.startswith(f"{study} cluster finished, budget_calls {n_calls} ")
    assert 0 < n_calls <= 40
    assert "±" in row


def test_optimize_runs_here_although_a_cluster_is_up(machine: Machine, server: Server) -> None:
    machine.folder.write(small(server))

    done = machine.folder.run("optimize", "study.yaml", "-q")

    assert done.code == 0, done.err
    newest = machine.folder.run("status", COLUMNS="160").out
    assert " here " in newest


def test_up_says_where_everything_is_and_only_its_owner_reads_the_passwords(machine: Machine) -> None:
    secrets = [path for path in machine.place.folder.iterdir() if machine.kept.redis_password in _text(path)]

    assert f"127.0.0.1:{machine.kept.redis_port}" in machine.up
    assert machine.state.flower_url in machine.up
    assert {path.name for path in secrets} == {"kept.json", "redis.conf", "state.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert stat.S_IMODE(machine.place.folder.stat().st_mode) == 0o700


def test_no_password_and_no_key_stands_on_a_command_line_or_in_a_log(machine: Machine) -> None:
    pids = [machine.state.pid, *(each.pid for each in machine.running.values())]
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids if Path(f"/proc/{pid}/cmdline").exists()]

    for secret in (machine.kept.redis_password, machine.kept.flower_password, "key-from-the-env-file"):
        assert not [command for command in commands if secret in command]
        assert secret not in machine.logs()


def test_redis_keeps_what_it_is_given(machine: Machine) -> None:
    with machine.client() as client:
        kept = client.config_get("*append*") | client.config_get("maxmemory-policy")

    assert kept["appendonly"] == "yes"
    assert kept["appendfsync"] == "everysec"
    assert kept["maxmemory-policy"] == "noeviction"


def test_workers_have_the_keys_and_no_way_to_the_database_and_flower_neither(machine: Machine) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc")
    worker, flower = (Path(f"/proc/{machine.running[name].pid}/environ").read_text() for name in ("worker-1", "flower"))

    assert "A_PROVIDERS_KEY=key-from-the-env-file" in worker
    assert "key-from-the-env-file" not in flower
    for variables in (worker, flower):
        assert "CONVERGENCE_DATABASE_URL" not in variables


def test_up_twice_changes_nothing(machine: Machine) -> None:
    before = {name: each.pid for name, each in machine.running.items()}

    again = machine.folder.run("up")

    assert again.code == 0, again.err
    assert {name: each.pid for name, each in machine.running.items()} == before


def test_what_dies_is_begun_again_and_status_says_so(machine: Machine) -> None:
    before = machine.running["worker-1"].pid
    assert before is not None

    os.kill(before, signal.SIGKILL)
    wait_until(lambda: (w := machine.running.get("worker-1")) is not None and w.pid != before and w.is_ready)

    assert "worker-1 was restarted" in machine.folder.run("status").out


def test_workers_are_scaled_up_and_down_and_the_queue_goes_on(machine: Machine, server: Server) -> None:
    machine.folder.write(small(server, calls=300))
    study = machine.folder.run("submit", "study.yaml", "--detach", "--new", "--no-cache").out.strip()

    more = machine.folder.run("up", "--workers", "3")
    n_more = sum(name.startswith("worker-") for name in machine.running)
    fewer = machine.folder.run("up", "--workers", "1")
    n_fewer = sum(name.startswith("worker-") for name in machine.running)
    watched = machine.folder.run("watch", study, "-q")

    assert (more.code, n_more) == (0, 3), more.err
    assert (fewer.code, n_fewer) == (0, 1), fewer.err
    assert watched.code == 0, watched.err + machine.logs()
    assert "process.killed" not in machine.logs()
    books = machine.folder.books(study=study)
    assert books.n_attempts == len(books.calls) <= 300


def test_another_shell_is_told_the_variables(machine: Machine, tmp_path: Path) -> None:
    lines = machine.folder.run("info", "--env").out.splitlines()
    variables = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    elsewhere = type(machine.folder)(path=tmp_path, environ=variables)

    seen = elsewhere.run("status")

    assert variables["CONVERGENCE_BROKER_URL"] == machine.state.environment["CONVERGENCE_BROKER_URL"]
    assert "coordinates" in seen.out
    assert "the cluster at redis://:***@127.0.0.1:" in elsewhere.run("info").out


def test_an_explicit_broker_wins(machine: Machine, server: Server) -> None:
    machine.folder.write(small(server))

    here = machine.folder.run("submit", "study.yaml", "-q", "--new", CONVERGENCE_BROKER_URL="")
    refused = machine.folder.run("up", CONVERGENCE_BROKER_URL="redis://elsewhere:6379/0")

    assert here.code == 0, here.err
    assert refused.code == 1
    assert "names a cluster already" in refused.err


def test_heartbeats_are_fresh_and_a_probe_says_so(machine: Machine, tmp_path: Path) -> None:
    fresh = [machine.folder.run("probe", str(machine.place.heartbeat(n))) for n in ("coordinator", "worker-1")]
    stale = tmp_path / "stale"
    stale.touch()
    os.utime(stale, (1, 1))

    assert [probe.code for probe in fresh] == [0, 0]
    assert machine.folder.run("probe", CONVERGENCE_HEARTBEAT_FILE=str(stale)).code == 1
    assert machine.folder.run("probe", str(tmp_path / "none")).code == 1


def test_ctrl_c_ends_the_watching_and_not_the_study(machine: Machine, server: Server) -> None:
    machine.folder.write(small(server, calls=2_000))
    log = machine.folder.path / "submit.txt"
    process = machine.folder.start("submit", "study.yaml", "--new", "--no-cache", log=log)
    wait_until(lambda: "alive" in log.read_text(), timeout_s=60)
    study = log.read_text().split()[0]

    process.send_signal(signal.SIGINT)
    code = process.wait(30)
    state = machine.folder.books(study=study).state
    cancelled = machine.folder.run("cancel", study)

    assert code == 130
    assert f"{study} is on the cluster" in log.read_text()
    assert f"{study} goes on; see it: convergence watch {study}" in log.read_text()
    assert state == "running"
    assert cancelled.code == 0, cancelled.err


def test_a_killed_supervisor_is_noticed_and_its_cluster_begun_anew_with_its_studies(
    tmp_path: Path, server: Server
) -> None:
    with machine_cluster(tmp_path, "--workers", "1") as machine:
        machine.folder.write(small(server, calls=300))
        study = machine.folder.run("submit", "study.yaml", "--detach", "--no-cache").out.strip()
        wait_until(lambda: len(machine.folder.books(study=study).calls) > 20)
        left = list(machine.running.values())
        os.kill(machine.state.pid, signal.SIGKILL)
        wait_until(lambda: process_identity(machine.state.pid) != machine.state.identity)

        refused = machine.folder.run("submit", "study.yaml", "-q")
        again = machine.folder.run("up")
        watched = machine.folder.run("watch", study, "-q")
        books = machine.folder.books(study=study)
        ended = machine.folder.run("down")
        down_again = machine.folder.run("down")

        assert refused.code == 1
        assert "does not run any more" in refused.err
        assert again.code == 0, again.err
        assert "ending what a killed supervisor left: redis, coordinator, worker-1, flower" in again.out
        assert [each.name for each in left if is_alive(each)] == []
        assert watched.code == 0, watched.err + machine.logs()
        assert (books.state, books.reason) == ("finished", "budget_calls")
        assert books.n_attempts <= 300
        assert ended.code == 0, ended.err
        assert "worker-1 has ended" in ended.out
        assert machine.place.state() is None
        assert "no cluster runs here" in down_again.out


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
