"""What a running study shows: a table, plain lines, JSON lines, nothing."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.commands.live import choose_view
from convergence_cluster.domain.search import Recommendation
from tests.unit.reports.example_study import make_report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(elapsed_s: float = 1.0, *, is_final: bool = False, answer: Recommendation | None = None) -> Progress:
    return Progress(
        n_calls=40,
        max_calls=100,
        n_in_flight=8,
        counts={"ok": 38, "failed": 2},
        spent_usd=0.1234,
        max_usd=None,
        elapsed_s=elapsed_s,
        calls_per_s=40.0,
        left_s=1.5,
        recommendation=answer or make_report().recommendation,
        is_final=is_final,
    )


def shown(stream: io.StringIO, *steps: Progress, as_json: bool = False, is_quiet: bool = False) -> str:
    with choose_view(as_json=as_json, is_quiet=is_quiet, stream=stream) as view:
        for step in steps:
            view(step)
    return stream.getvalue()


def test_plain_lines_come_every_two_seconds_and_at_the_end() -> None:
    text = shown(io.StringIO(), *(progress(0.5 * n) for n in range(10)), progress(4.6, is_final=True))

    assert len(text.splitlines()) == 4
    assert "40/100 calls  $0.1234  40/s" in text
    assert "\x1b" not in text


def test_progress_never_says_that_it_is_certain() -> None:
    answer = replace(make_report().recommendation, p_within=1.0)

    assert "sure 99%" in shown(io.StringIO(), progress(answer=answer, is_final=True))


def test_json_lines_parse_and_carry_the_facts() -> None:
    lines = [json.loads(line) for line in shown(io.StringIO(), progress(), progress(), as_json=True).splitlines()]

    assert [line["event"] for line in lines] == ["progress", "progress"]
    assert (lines[0]["calls"], lines[0]["in_flight"], lines[0]["spent_usd"]) == (40, 8, 0.1234)
    assert lines[0]["best"]["low"] <= lines[0]["best"]["score"] <= lines[0]["best"]["high"]


def test_quiet_shows_nothing_even_on_a_terminal() -> None:
    assert shown(Terminal(), progress(), is_quiet=True) == ""


def test_a_terminal_gets_a_table_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    text = shown(Terminal(), progress())

    assert "40/100, 8 in flight" in text
    assert "2 failed" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert text.rstrip().endswith("\x1b[2K")


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
def test_a_study_without_a_score_yet_is_shown(make: Callable[[], io.StringIO]) -> None:
    nothing = Recommendation(
        best=None,
        baseline=None,
        change=None,
        tied=(),
        front=(),
        p_within=0.0,
        gain_per_100_calls=0.0,
        n_arms=0,
        n_alive=0,
        n_calls=0,
    )

    assert "calls" in shown(make(), progress(answer=nothing))
