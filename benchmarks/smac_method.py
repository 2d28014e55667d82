"""SMAC3 as a method: it lives in an environment of its own and is spoken to by lines of JSON."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.methods_bandits import Sums
from benchmarks.pools import NearestRow, open_space
from benchmarks.simulation import Result, Verdict, Work
from benchmarks.tables import Table
from benchmarks.worlds import World

HOME = Path(__file__).parent / "smac"
PYTHON = Path(os.environ.get("CONVERGENCE_SMAC_PYTHON", HOME / ".venv" / "bin" / "python"))

MAX_KNOWN = 500
"""So many calls in a row may be known before the search counts as ended."""


def missing() -> str:
    """Say why SMAC3 cannot be run here; empty: it can."""
    return "" if PYTHON.exists() else f"SMAC3 is not installed: run {HOME.name}/install.sh in benchmarks"


class SmacSearch:
    """SMAC3's algorithm-configuration facade, its intensifier racing over the items; one call at a time.

    It proposes a pair of a row and an item; other workers wait, which leaves it the freshest information.
    """

    def __init__(self, table: Table, world: World, *, max_trials: int) -> None:
        self._sums = Sums(world)
        self._max_calls = max_trials
        self._known: dict[tuple[int, int], float] = {}
        self._asked: tuple[int, int] | None = None
        self._incumbent = -1
        self.cpu_elsewhere_s = 0.0
        self._nearest = NearestRow(table)
        self._process = subprocess.Popen(
            [str(PYTHON), str(HOME / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say(
            {
                "parameters": _described(table),
                "n_items": world.n_items,
                "n_calls": max_trials,
                "seed": world.seed,
            }
        )

    def ask(self) -> Work | None:
        """Return the one call that SMAC wants next; known ones are answered without a call."""
        if self._asked is not None or len(self._known) >= self._max_calls:
            return None
        for _ in range(MAX_KNOWN):
            reply = self._say({"ask": True})
            cell = (self._nearest(reply["configuration"]), int(reply["item"]))
            if cell not in self._known:
                self._asked = cell
                return Work(row=cell[0], items=(cell[1],))
            self._learn(self._known[cell])
        return None

    def tell(self, result: Result) -> None:
        """Pass one call on."""
        self._asked = None
        self._sums.add(result)
        self._known[result.row, result.item] = result.score
        self._learn(result.score)

    def recommend(self) -> Verdict | None:
        """Return SMAC's incumbent."""
        return None if self._incumbent < 0 else self._sums.verdict(self._incumbent)

    def _learn(self, score: float) -> None:
        incumbent = self._say({"tell": score})["incumbent"]
        if incumbent is not None:
            self._incumbent = self._nearest(incumbent)

    def _say(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        reply: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.cpu_elsewhere_s = float(reply["cpu_s"])
        return reply

    def __del__(self) -> None:
        process = getattr(self, "_process", None)
        if process is not None:
            process.stdin.close()
            process.stdout.close()
            process.wait(timeout=30)


def _described(table: Table) -> list[dict[str, Any]]:
    return [
        {"name": p.name, "kind": p.kind.value, "values": list(p.values), "low": p.low, "high": p.high, "log": p.log}
        for p in open_space(table).parameters
    ]
