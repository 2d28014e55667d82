"""Fault switches, codecs, endpoints, shipped studies."""

import json
from pathlib import Path

import pytest
import yaml

from convergence_cluster.sandbox.answers import GRID as QUICKSTART_GRID
from convergence_cluster.sandbox.chat import ChatError, read_chat
from convergence_cluster.sandbox.codecs import GRID, TAKES, RejectedParameterError, checked, compress
from convergence_cluster.sandbox.compress import configurations
from convergence_cluster.sandbox.corpus import corpus
from convergence_cluster.sandbox.endpoint import arguments_of
from convergence_cluster.sandbox.faults import Faults
from convergence_cluster.sandbox.landscapes import landscape
from convergence_cluster.sandbox.models import prices
from convergence_cluster.sandbox.pace import Pace
from convergence_cluster.sandbox.questions import as_test_cases, quickstart_questions
from convergence_cluster.sandbox.setting import style_of
from convergence_cluster.sandbox.truth import weighting_of

CONFIGS = Path(__file__).parents[3] / "configs"


def test_shares_decide_which_fault_an_attempt_meets() -> None:
    faults = Faults(rate_limited=0.2, cut=0.3)

    assert [faults.choose(u, 0) for u in (0.1, 0.25, 0.49, 0.51)] == ["rate_limited", "cut", "cut", None]


def test_only_first_attempts_meet_faults_where_asked() -> None:
    faults = Faults(server_error=1.0, first_attempts=2)

    assert [faults.choose(0.5, attempt) for attempt in range(4)] == ["server_error", "server_error", None, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cut": 1.5}, "not a share"),
        ({"cut": 0.6, "refused": 0.6}, "more than 1"),
        ({"kut": 0.1}, "unknown fault 'kut'"),
        ({"cut": "often"}, "expected a number"),
        ({"slow_s": -1}, "at least 0"),
        ({"infeasible": "temperature"}, "list of parameter names"),
    ],
)
def test_impossible_faults_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Faults().changed(changes)


def test_a_pace_admits_its_rate_after_one_seconds_worth_at_once() -> None:
    pace = Pace(10.0)

    admitted = sum(pace.wait_s(step / 100.0) == 0.0 for step in range(501))

    assert admitted == pytest.approx(10 + 50, abs=1)
    assert Pace(0.0).wait_s(0.0) == 0.0


def test_a_pace_says_how_long_to_wait() -> None:
    pace = Pace(2.0)
    waits = [pace.wait_s(5.0) for _ in range(3)]

    assert waits == [0.0, 0.0, 0.5]
    assert pace.wait_s(5.5) == 0.0


@pytest.mark.parametrize("codec", sorted(TAKES))
def test_each_codec_gives_back_what_it_was_given(codec: str) -> None:
    content = b"the same words again and again, " * 500

    done = compress({"codec": codec, "level": 3}, content)

    assert done.verified
    assert done.size_in == len(content)
    assert 0 < done.size_out < done.size_in / 10


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({}, "codec"),
        ({"codec": "rar"}, "codec"),
        ({"codec": ["zlib"]}, "codec"),
        ({"codec": "bz2", "window": 15}, "window"),
        ({"codec": "zlib", "window": 99}, "window"),
        ({"codec": "zlib", "level": True}, "level"),
        ({"codec": "lzma", "strategy": "rle"}, "strategy"),
        ({"codec": "lzma", "extreme": 1}, "extreme"),
    ],
)
def test_what_a_codec_does_not_take_is_named(parameters: dict[str, object], param: str) -> None:
    with pytest.raises(RejectedParameterError) as caught:
        checked(parameters)

    assert caught.value.param == param


def test_a_higher_level_makes_real_files_smaller() -> None:
    prose = corpus()["prose"].content

    sizes = [compress({"codec": "zlib", "level": level}, prose).size_out for level in (1, 6, 9)]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.05 * sizes[2]


def test_the_corpus_is_several_kinds_of_real_bytes() -> None:
    files = corpus()

    assert len(files) >= 7
    assert all(len(file.content) > 5_000 for file in files.values())
    assert b"def " in files["source"].content


def test_the_grid_of_codecs_has_no_configuration_twice() -> None:
    known = [tuple(configuration.items()) for configuration in configurations()]

    assert len(known) == len(set(known)) == 198


def test_an_endpoint_stands_for_a_command_line() -> None:
    endpoint = "sandbox://llm/v1/chat/completions?landscape=wide&latency_ms=50"

    assert arguments_of(endpoint) == (["llm", "--landscape=wide", "--latency-ms=50"], "/v1/chat/completions")


@pytest.mark.parametrize("query", ["port=80", "truth=1", "until_eof=1", "%20=1"])
def test_an_endpoint_sets_only_what_a_study_may(query: str) -> None:
    with pytest.raises(ValueError, match="not an option"):
        arguments_of(f"sandbox://llm/v1?{query}")


@pytest.mark.parametrize("text", ["speed=1", "quality", "quality=high", "quality=-1"])
def test_impossible_weights_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        weighting_of(text, None, landscape("wide").weighting)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"{}", "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":3}', "temperature"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":0}', "max_tokens"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"effort":"low"}', "effort"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}', "stream"),
    ],
)
def test_a_bad_chat_request_is_refused_by_the_field_at_fault(body: bytes, param: str | None) -> None:
    with pytest.raises(ChatError) as caught:
        read_chat(body)

    assert (caught.value.status, caught.value.param) == (400, param)


def test_the_case_file_of_the_quickstart_is_the_one_that_the_simulation_knows() -> None:
    shipped = json.loads((CONFIGS / "quickstart" / "cases.json").read_text("utf-8"))

    assert shipped == as_test_cases(quickstart_questions())


def test_the_study_of_the_quickstart_searches_what_the_simulation_offers() -> None:
    study = yaml.safe_load((CONFIGS / "quickstart.yaml").read_text("utf-8"))
    parameters = study["search_space"]["parameters"]
    prompts = sorted(CONFIGS.glob(parameters["system_prompt"]["template"]))

    assert study["api"]["prices"] == prices(QUICKSTART_GRID["model"])
    assert sorted(style_of(path.read_text("utf-8")) for path in prompts) == sorted(QUICKSTART_GRID["system_prompt"])
    assert {style_of(str(path.relative_to(CONFIGS))) for path in prompts} == set(QUICKSTART_GRID["system_prompt"])
    for name in ("model", "max_tokens"):
        assert tuple(parameters[name]) == QUICKSTART_GRID[name]
    for name, conditions in landscape("quickstart").conditions.items():
        assert tuple(parameters[name]["values"]) == QUICKSTART_GRID[name]
        assert tuple(parameters[name]["when"]["model"]) == conditions["model"]


def test_the_study_of_compress_searches_what_the_codecs_take() -> None:
    study = yaml.safe_load((CONFIGS / "compress.yaml").read_text("utf-8"))
    parameters = study["search_space"]["parameters"]
    cases = json.loads((CONFIGS / "compress" / "cases.json").read_text("utf-8"))

    assert {
        name: tuple(spec if isinstance(spec, list) else spec["values"]) for name, spec in parameters.items()
    } == dict(GRID)
    assert {case["input"]["file"] for case in cases} >= set(corpus())
