"""The shipped scaling, rehearsed: `python -m benchmarks.rehearsal` (`make autoscale-rehearsal`).

Reads the shipped ScaledObject, computes the replicas as KEDA and the HPA do (benchmarks.autoscaling) from the lists of
a real Redis, and starts and stops real worker processes accordingly, while real studies run against the sandbox: a
burst of ten, a trickle, nothing, a burst again. Then the same with a fixed pool. Time runs `--speed` times as fast for
the autoscaler as on the wall, so a call of half a second stands for one of five; workers have 8 slots instead of 64,
and the target is scaled alike.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import yaml

from benchmarks.autoscaling import Autoscaler
from benchmarks.autoscaling_rules import Scaling, read_scaled_object
from convergence_cluster.bootstrap.submitting import ClusterClient
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.settings import read_settings
from convergence_cluster.spec.loading import load_study
from convergence_cluster.storage.studies import Priority
from tests.cluster_runs import Cluster, cluster
from tests.processes import Child
from tests.study_runs import Server, predecessor_study, serving_llm

mpl.use("Agg")
import matplotlib.pyplot as plt

MANIFEST = Path(__file__).parents[1] / "k8s" / "components" / "keda" / "scaledobject.yaml"
SHIPPED_SLOTS, SLOTS = 64, 8
CALL_S = 0.5
N_STUDIES, N_CALLS, N_AT_ONCE = 10, 160, 8
N_TRICKLE, N_TRICKLE_CALLS = 4, 24
_TICK_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What was seen at one moment; seconds are the autoscaler's."""

    at_s: float
    phase: str
    waiting: int
    held: int
    desired: int
    actual: int
    n_calls: int


@dataclass(kw_only=True)
class Stage:
    """A cluster whose workers come and go."""

    started: Cluster
    speed: float
    choose: Callable[[float, Mapping[str, float]], int]
    lists: Mapping[str, str]
    server: Server
    moments: list[Moment] = field(default_factory=list)
    workers: list[Child] = field(default_factory=list)
    leaving: list[Child] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)
    worker_s: float = 0.0
    _seen_s: float | None = None

    def now_s(self) -> float:
        """Return the autoscaler's time."""
        return (time.monotonic() - self.began_s) * self.speed

    def tick(self, phase: str) -> None:
        """Look at the queue, choose, start and stop workers, note it."""
        client, now_s = self.started.client(), self.now_s()
        values = {name: float(_length(client, key)) for name, key in self.lists.items()}
        desired = self.choose(now_s, values)
        self.leaving = [worker for worker in self.leaving if worker.is_running]
        while len(self.workers) < desired:
            self.workers.append(self.started.worker(concurrency=SLOTS))
        while len(self.workers) > desired:
            leaving = self.workers.pop(0)
            leaving.terminate()
            self.leaving.append(leaving)
        actual = len(self.workers) + len(self.leaving)
        if self._seen_s is not None:
            self.worker_s += actual * (now_s - self._seen_s)
        self._seen_s = now_s
        held = values.get("held", 0.0)
        waiting = int(sum(values.values()) - held)
        n_calls = self.server.books()["requests"]
        self.moments.append(
            Moment(
                at_s=now_s,
                phase=phase,
                waiting=waiting,
                held=int(held),
                desired=desired,
                actual=actual,
                n_calls=n_calls,
            )
        )
        time.sleep(_TICK_S)

    def drain(self, phase: str, studies: Sequence[str]) -> None:
        """Wait until studies have ended."""
        left = list(studies)
        while left:
            self.tick(phase)
            left = [study for study in left if self.started.state(study) in {"queued", "running"}]

    def rest(self, phase: str, seconds: float) -> None:
        """Let time pass."""
        ends_s = self.now_s() + seconds
        while self.now_s() < ends_s:
            self.tick(phase)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A rehearsal, played."""

    name: str
    drains_s: Mapping[str, float]
    worker_s: float
    duration_s: float
    n_calls: int
    n_repeated: int
    n_unfinished: int
    moments: Sequence[Moment]


def _length(client: Any, key: str) -> int:
    kind = client.type(key)
    return int(client.hlen(key) if kind == b"hash" else client.llen(key) if kind == b"list" else 0)


def play(
    name: str, choose: Callable[[float, Mapping[str, float]], int], scaling: Scaling, speed: float, idle_s: float
) -> Outcome:
    """Play the piece with one way of choosing the number of workers, and nothing to do for `idle_s` in between."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving_llm("--landscape", "predecessor", "--latency-ms", str(1000 * CALL_S), "--seed", "3") as server,
        cluster(Path(folder)) as started,
    ):
        started.folder = replace(started.folder, environ={**started.folder.environ, "CONVERGENCE_LEASE_S": "10"})
        started.coordinator()
        stage = Stage(started=started, speed=speed, choose=choose, lists=scaling.lists, server=server)
        studies, drains = [], {}
        for burst in ("first burst", "second burst"):
            began_s = stage.now_s()
            some = _submit(stage, N_STUDIES, N_CALLS, N_AT_ONCE, burst)
            stage.drain(burst, some)
            drains[burst] = stage.now_s() - began_s
            studies += some
            if burst == "first burst":
                for _ in range(N_TRICKLE):
                    some = _submit(stage, 1, N_TRICKLE_CALLS, 2, "trickle")
                    stage.drain("trickle", some)
                    studies += some
                stage.rest("idle", idle_s)
        hits = server.hits()
        states = [started.state(study) for study in studies]
        outcome = Outcome(
            name=name,
            drains_s=drains,
            worker_s=stage.worker_s,
            duration_s=stage.now_s(),
            n_calls=sum(started.n_calls(study) for study in studies),
            n_repeated=sum(n - 1 for n in hits.values()),
            n_unfinished=sum(state != "finished" for state in states),
            moments=stage.moments,
        )
        for worker in (*stage.workers, *stage.leaving):
            with suppress(ProcessLookupError):
                worker.terminate()
    return outcome


def _submit(stage: Stage, n: int, n_calls: int, n_at_once: int, phase: str) -> list[str]:
    """Submit studies, one right after another."""
    folder = stage.started.folder
    environ = {**os.environ, **folder.environ, "CONVERGENCE_HOME": str(folder.path / ".convergence")}
    client = ClusterClient(read_settings(environ), environ=environ, clock=SystemClock())
    submitted = []
    for number in range(n):
        study = predecessor_study(stage.server, parallel_workers=n_at_once) | {"budget": {"calls": n_calls}}
        study["api"] |= {"name": f"{phase.replace(' ', '-')}-{number}", "cache": False}
        study["optimization"]["seed"] = number
        path = folder.write(study)
        submitted.append(client.submit(load_study(path), source=path, priority=Priority.NORMAL, is_new=True))
    return [str(study) for study in submitted]


def draw(outcome: Outcome, path: Path) -> None:
    """Draw queue, held, desired and actual workers over time."""
    minutes = [moment.at_s / 60.0 for moment in outcome.moments]
    figure, (above, below) = plt.subplots(2, 1, figsize=(10, 6), sharex=True, layout="constrained")
    above.stackplot(
        minutes,
        [moment.held for moment in outcome.moments],
        [moment.waiting for moment in outcome.moments],
        labels=["in workers' hands", "waiting"],
        colors=["#4c78a8", "#f58518"],
    )
    above.set_ylabel("messages")
    beside = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": 2, "frameon": False}
    above.legend(**beside)
    below.step(minutes, [moment.desired for moment in outcome.moments], where="post", label="desired", color="#54a24b")
    below.step(minutes, [moment.actual for moment in outcome.moments], where="post", label="processes", color="#333333")
    below.set_ylabel("workers")
    below.set_xlabel("minutes of the autoscaler's time")
    below.legend(**beside)
    above.set_title("Queue and workers under the shipped ScaledObject", loc="left")
    figure.savefig(path, dpi=110)


def table(outcomes: Sequence[Outcome], *, most: int, speed: float) -> str:
    """Return the comparison, the oracle first: workers that are there at once, always full, and gone at once."""
    n_burst = N_STUDIES * N_CALLS
    slot_s = (2 * n_burst + N_TRICKLE * N_TRICKLE_CALLS) * CALL_S
    at_once = min(most * SLOTS, N_STUDIES * N_AT_ONCE)
    ideal_s = n_burst * CALL_S / at_once * speed
    lines = [
        "| | first burst, min | second burst, min | worker-minutes | calls | repeated | unfinished studies |",
        "|---|---|---|---|---|---|---|",
        f"| oracle | {ideal_s / 60:.1f} | {ideal_s / 60:.1f} | {slot_s * speed / SLOTS / 60:.1f} | | | |",
    ]
    for outcome in outcomes:
        first, second = outcome.drains_s.values()
        lines.append(
            f"| {outcome.name} | {first / 60:.1f} | {second / 60:.1f} | {outcome.worker_s / 60:.1f} "
            f"| {outcome.n_calls:,} | {outcome.n_repeated} | {outcome.n_unfinished} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Play, print, draw; return 1 if anything was lost or repeated."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--most", type=int, default=6, help="workers at most: as many as this machine carries")
    parser.add_argument(
        "--windows",
        type=float,
        nargs="*",
        default=[],
        metavar="SECONDS",
        help="also play with these in place of the seconds before workers go and before the last one goes",
    )
    parser.add_argument("--out", type=Path, default=Path("results/rehearsal"))
    options = parser.parse_args()
    shipped = read_scaled_object(yaml.safe_load(MANIFEST.read_text()))
    scaling = replace(shipped, target=shipped.target * SLOTS / SHIPPED_SLOTS, most=options.most)
    others = {
        f"with {window_s:.0f} s": replace(scaling, cooldown_s=window_s, down=replace(scaling.down, window_s=window_s))
        for window_s in options.windows
    }
    ways = {"shipped ScaledObject": scaling, **others}
    idle_s = 120.0 + max(each.cooldown_s + each.down.window_s for each in ways.values())
    outcomes = [play(name, Autoscaler(scaling=each).step, each, options.speed, idle_s) for name, each in ways.items()]
    outcomes.append(play(f"fixed pool of {options.most}", lambda *_: options.most, scaling, options.speed, idle_s))
    options.out.mkdir(parents=True, exist_ok=True)
    draw(outcomes[0], options.out / "rehearsal.png")
    moments = [{name: getattr(m, name) for name in Moment.__slots__} for m in outcomes[0].moments]
    (options.out / "rehearsal.json").write_text(json.dumps(moments))
    print(table(outcomes, most=options.most, speed=options.speed))
    print(f"\nchart: {options.out / 'rehearsal.png'}; a worker has {SLOTS} slots, a call takes {CALL_S} s")
    return int(any(outcome.n_repeated or outcome.n_unfinished for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
