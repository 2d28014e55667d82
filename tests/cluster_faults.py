"""What every fault test of the cluster asks of the books afterwards, and what the faults cost."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.cluster_runs import Cluster
from tests.study_runs import Books, Server, predecessor_study, wait_until

PARALLEL = 16
N_CALLS = 640
"""Every configuration of `exhaustive` on every case once."""


@dataclass(kw_only=True)
class Toll:
    """Faults of one test and what they may cost."""

    fault: str
    server: Server
    bound: int = 0
    """Calls that were on the wire when faults struck: so many may be made again."""
    n_faults: int = 0
    n_calls: int = 0
    n_repeated: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def strike(self, *, affected: int = PARALLEL) -> None:
        """Count a fault that may have caught up to `affected` calls between the wire and the database."""
        self.n_faults += 1
        self.bound += affected

    def row(self) -> dict[str, object]:
        """Return what is shown of it."""
        return {
            "fault": self.fault,
            "times": self.n_faults,
            "calls": self.n_calls,
            "repeated": self.n_repeated,
            "bound": self.bound,
            "seconds": round(time.monotonic() - self.began_s, 1),
        }


def exhaustive(server: Server, **execution: object) -> dict[str, Any]:
    """Return a study that makes each of `N_CALLS` calls exactly once, in an order that depends on nothing."""
    study = predecessor_study(
        server, **{"parallel_workers": PARALLEL, "reproducible": True, "max_repeats": 1, **execution}
    )
    study["search_space"]["parameters"]["temperature"] = [0.1 * step for step in range(8)]
    return study | {"budget": {"calls": 100_000, "usd": 1000.0}}


def check(toll: Toll, books: Books, *, n_calls: int | None = N_CALLS) -> None:
    """Invariant I: every result counted once, the study ended, the ledger true, and few calls made again."""
    told = Counter(tuple(key) for kind, body in books.events if kind == "told" for key in body)
    hits = {key: count for key, count in toll.server.hits().items() if key in books.calls}
    n_attempts = {key: row["n_attempts"] for key, row in books.calls.items()}
    toll.n_calls = len(books.calls)
    toll.n_repeated = sum(max(0, count - n_attempts[key]) for key, count in hits.items())

    assert books.state == "finished", (books.state, books.reason)
    assert [key for key, count in told.items() if count > 1] == []
    assert set(told) == {key[1:] for key in books.calls}
    assert [key for key, row in books.calls.items() if row["kind"] != "ok"] == []
    if n_calls is not None:
        assert (books.reason, len(books.calls)) == ("exhausted", n_calls)
    assert hits.keys() == books.calls.keys()
    assert toll.n_repeated <= toll.bound
    check_money(toll.server, books)


def check_money(server: Server, books: Books) -> None:
    """The ledger has all that the server billed, and no more than the bounds of calls whose outcome is unknown."""
    wait_until(lambda: server.books()["in_flight"] == 0)
    seen = server.books()
    kinds = Counter(entry["kind"] for entry in books.ledger)
    unknown_usd = sum(entry["usd"] for entry in books.ledger if entry["kind"] in {"unknown", "corrected"})
    unknown_usd += sum(
        (row["n_attempts"] - 1) * row["reserved_usd"] for row in books.calls.values() if row["n_attempts"]
    )
    columns = ("kind", "arm", "case_index", "repeat", "task")
    given_up = Counter(tuple(entry[name] for name in columns) for entry in books.ledger if entry["task"])
    n_unknown = sum(entry["n_attempts"] for entry in books.ledger if entry["kind"] in {"unknown", "corrected"})
    told = (
        f"billed {seen['usd']:.6f} USD in {seen['requests']} requests, booked {books.usd:.6f} in {books.n_attempts}, "
        f"of it unknown {unknown_usd:.6f} in {n_unknown}: {kinds}"
    )
    assert [attempt for attempt, n in given_up.items() if n > 1] == []
    assert [rest for kind, *rest in given_up if kind == "corrected" and ("unknown", *rest) not in given_up] == []
    assert seen["usd"] - 1e-9 <= books.usd <= seen["usd"] + unknown_usd + 1e-9, told
    assert seen["requests"] <= books.n_attempts <= seen["requests"] + n_unknown, told


def wait_for_calls(running: Cluster, study: str, n: int, *, timeout_s: float = 60.0) -> None:
    """Wait until a study has so many finished calls."""
    try:
        wait_until(lambda: running.n_calls(study) >= n, timeout_s=timeout_s)
    except TimeoutError as error:
        raise TimeoutError(f"{running.n_calls(study)} of {n} calls\n{running.logs()[-6000:]}") from error
