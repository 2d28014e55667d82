"""Progress while a study runs: a live table on a terminal, plain lines elsewhere, JSON lines for machines."""

import json
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import ArmEstimate, Recommendation

_PLAIN_EVERY_S = 2.0
_MAX_VALUE = 48


class View(Protocol):
    """Shows progress between `__enter__` and `__exit__`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def __call__(self, progress: Progress, /) -> None:
        """Show where the study is."""
        ...


def choose_view(*, as_json: bool, is_quiet: bool, stream: TextIO = sys.stdout) -> View:
    """Return the view that fits the terminal and the user's wish."""
    if as_json:
        return _JsonView(stream)
    if is_quiet:
        return _NoView()
    return _LiveView(stream) if stream.isatty() else _PlainView(stream)


class _NoView:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, _progress: Progress, /) -> None:
        return


class _JsonView(_NoView):
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, progress: Progress, /) -> None:
        print(json.dumps({"event": "progress", **_facts(progress)}), file=self._stream, flush=True)


class _PlainView(_NoView):
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_s = -_PLAIN_EVERY_S

    def __call__(self, progress: Progress, /) -> None:
        if progress.is_final or progress.elapsed_s - self._shown_s >= _PLAIN_EVERY_S:
            self._shown_s = progress.elapsed_s
            print(_line(progress), file=self._stream, flush=True)


class _LiveView:
    def __init__(self, stream: TextIO) -> None:
        self._live = Live(console=Console(file=stream), auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, progress: Progress, /) -> None:
        self._live.update(_table(progress), refresh=True)


def _facts(progress: Progress) -> Mapping[str, Json]:
    best = progress.recommendation.best
    return {
        "calls": progress.n_calls,
        "in_flight": progress.n_in_flight,
        "cached": progress.n_cached,
        "outcomes": dict(progress.counts),
        "spent_usd": progress.spent_usd,
        "elapsed_s": round(progress.elapsed_s, 3),
        "calls_per_s": round(progress.calls_per_s, 2),
        "left_s": None if progress.left_s is None else round(progress.left_s, 1),
        "arms": progress.recommendation.n_arms,
        "arms_alive": progress.recommendation.n_alive,
        "p_within": progress.recommendation.p_within,
        "best": best
        and {
            "arm": best.arm,
            "config": dict(best.configuration),
            "score": best.score.mean,
            "low": best.score.low,
            "high": best.score.high,
        },
        "final": progress.is_final,
    }


def _line(progress: Progress) -> str:
    best = progress.recommendation.best
    parts = [
        f"{progress.elapsed_s:6.1f} s",
        f"{_count(progress.n_calls, progress.max_calls)} calls",
        f"{progress.n_cached} cached" if progress.n_cached else "",
        _money(progress),
        f"{progress.calls_per_s:.0f}/s",
        f"{progress.recommendation.n_arms} arms, {progress.recommendation.n_alive} alive",
        f"best {_score(best)}" if best else "no score yet",
        f"sure {_sure(progress.recommendation)}" if best else "",
        _left(progress),
    ]
    return "  ".join(part for part in parts if part)


def _sure(answer: Recommendation) -> str:
    return f"{min(answer.p_within, 0.99):.0%}"


def _table(progress: Progress) -> Table:
    answer = progress.recommendation
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("calls", f"{_count(progress.n_calls, progress.max_calls)}, {progress.n_in_flight} in flight")
    if progress.n_cached:
        table.add_row("", f"{progress.n_cached} from the cache")
    table.add_row("spent", _money(progress) or "-")
    table.add_row("rate", f"{progress.calls_per_s:.1f} calls/s, {_left(progress) or 'no cap in sight'}")
    table.add_row("arms", f"{answer.n_arms} opened, {answer.n_alive} alive")
    failed = {kind: n for kind, n in progress.counts.items() if kind != "ok" and n}
    if failed:
        table.add_row("not whole", ", ".join(f"{n} {kind}" for kind, n in failed.items()))
    if answer.best:
        table.add_row("best so far", f"[bold]{_score(answer.best)}[/bold]  arm {answer.best.arm}")
        for name, value in answer.best.configuration.items():
            table.add_row("", f"{name} = {_short(value)}")
        table.add_row("how sure", f"{_sure(answer)}, {len(answer.tied)} tied")
    return table


def _score(best: ArmEstimate | None) -> str:
    return "" if best is None else f"{best.score.mean:.3f} [{best.score.low:.3f}, {best.score.high:.3f}]"


def _count(n: int, cap: int | None) -> str:
    return f"{n}" if cap is None else f"{n}/{cap}"


def _money(progress: Progress) -> str:
    if progress.spent_usd is None:
        return ""
    cap = "" if progress.max_usd is None else f"/{progress.max_usd:.2f}"
    return f"${progress.spent_usd:.4f}{cap}"


def _left(progress: Progress) -> str:
    return "" if progress.left_s is None else f"at most {progress.left_s:.0f} s left"


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return (text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…").replace("[", r"\[")
