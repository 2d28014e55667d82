"""Test cases in every shape."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.spec.cases import load_cases, split
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.problems import raise_all


def cases_of_text(folder: Path, name: str, content: str) -> tuple[TestCase, ...]:
    (folder / name).write_text(content, encoding="utf-8")
    found = load_cases(folder / name, name)
    raise_all(found.problems)
    return tuple(found.cases)


ONE = {"id": "a", "input": {"prompt": "hi"}, "expected": {"contains": ["x"]}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", json.dumps([ONE])),
        ("c.json", json.dumps({"test_cases": [ONE]})),
        ("c.json", json.dumps(ONE)),
        ("c.json", "\ufeff" + json.dumps([ONE])),
        ("c.jsonl", json.dumps(ONE) + "\n\n"),
        ("c.yaml", "- {id: a, input: {prompt: hi}, expected: {contains: [x]}}\n"),
        ("c.yml", "test_cases:\n  - {id: a, prompt: hi, expected: {contains: [x]}}\n"),
        ("c.csv", 'id,input.prompt,expected.contains\na,hi,"[""x""]"\n'),
        ("c.csv", 'id,prompt,expected\na,hi,"{""contains"": [""x""]}"\n'),
        ("c.csv", 'id;prompt;expected.contains\r\na;hi;"[""x""]"\r\n'),
        ("c.tsv", 'id\tprompt\texpected.contains\na\thi\t["x"]\n'),
    ],
)
def test_every_shape_gives_the_same_case(tmp_path: Path, name: str, content: str) -> None:
    cases = cases_of_text(tmp_path, name, content)

    assert cases == (TestCase(id=CaseId("a"), input={"prompt": "hi"}, expected={"contains": ["x"]}),)


def test_weights_tags_and_metadata_are_kept(tmp_path: Path) -> None:
    cases = cases_of_text(
        tmp_path,
        "c.yaml",
        "- {id: a, input: {q: 1}, weight: 2, tags: [x, y], description: why, note: extra}\n"
        "- {id: b, input: {q: 2}, metadata: {weight: 3, category: sum}}\n"
        "- {id: c, input: hello, tags: 'x; y'}\n",
    )

    assert [(case.weight, case.tags) for case in cases] == [(2, ("x", "y")), (3, ("sum",)), (1, ("x", "y"))]
    assert cases[0].metadata == {"description": "why", "note": "extra"}
    assert cases[2].input == {"prompt": "hello"}


def test_cells_of_a_table_stay_text(tmp_path: Path) -> None:
    cases = cases_of_text(tmp_path, "c.csv", "zip,expected,weight,metadata.source\n01234,42,0.5,web\n")

    assert cases[0].input == {"zip": "01234"}
    assert cases[0].expected == "42"
    assert cases[0].weight == 0.5
    assert cases[0].metadata == {"source": "web"}


def test_a_case_without_id_keeps_its_id_when_others_come_and_go(tmp_path: Path) -> None:
    alone = cases_of_text(tmp_path, "c.yaml", "- {q: two}\n")
    among = cases_of_text(tmp_path, "c.yaml", "- {q: one}\n- {q: two}\n- {q: two}\n")

    assert alone[0].id == among[1].id
    assert among[2].id == f"{alone[0].id}-2"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.json", "[]", "c.json:1: no test cases; expected at least one"),
        ("c.jsonl", "\n\n", "c.jsonl:1: no test cases; expected at least one"),
        ("c.csv", "a,b\n", "c.csv:1: no test cases; expected at least one"),
        ("c.csv", "", "c.csv:1: the file is empty; expected a line of column names"),
        ("c.json", "[\n1]", "c.json:2: [0]: 1: expected a case such as {input: {...}, expected: ...}"),
        ("c.json", '[\n{"input": {}}]', "c.json:2: [0].input: expected an input that is not empty"),
        ("c.json", '[\n{"id": 1}]', "c.json:2: [0].input: expected an input that is not empty"),
        ("c.json", '{"test_cases": [\n{"q": 1, "weight": "x"}]}', "c.json:2: test_cases[0].weight: 'x': expected a"),
        ("c.csv", "q,weight\na,1\nb,nan\n", "c.csv:3: weight: nan: expected a number from 0.000001 to 1000000"),
        ("c.csv", "q,weight\na,inf\n", "c.csv:2: weight: inf: expected a number from"),
        ("c.csv", "q,weight\na,1e308\n", "c.csv:2: weight: 1e+308: expected a number from"),
        ("c.csv", "q,weight\na,1e-300\n", "c.csv:2: weight: 1e-300: expected a number from"),
        ("c.yaml", "- {q: 1}\n- {q: 2, weight: 1e300}", "c.yaml:2: [1].weight: 1e+300: expected a number from"),
        ("c.jsonl", '{"q": 1}\n{"q": \n', "c.jsonl:2: not valid JSON: Expecting value"),
        ("c.jsonl", '{"q": 1, "q": 2}\n', "c.jsonl:1: not valid JSON: duplicate key 'q'"),
        ("c.jsonl", '{"id": 1, "q": 1}\n{"id": 1, "q": 2}', "c.jsonl:2: id: '1': duplicate id; first on line 1"),
        ("c.csv", 'id,q\n1,"a\nb"\n1,c\n', "c.csv:4: id: '1': duplicate id; first on line 2"),
        ("c.txt", "x", "c.txt: .txt: expected a file ending in .json, .jsonl, .csv, .tsv, .yaml or .yml"),
    ],
)
def test_a_wrong_case_is_told_at_its_line(tmp_path: Path, name: str, content: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        cases_of_text(tmp_path, name, content)

    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(("n", "share", "n_kept"), [(1, 0.5, 0), (2, 0.01, 1), (10, 0.2, 2), (10, 0.99, 9), (10, 0, 0)])
def test_the_holdout_has_its_share(n: int, share: float, n_kept: int) -> None:
    cases = [TestCase(id=CaseId(str(k)), input={"k": k}) for k in range(n)]

    searched, kept = split(cases, share, seed=1)

    assert len(kept) == n_kept
    assert sorted(searched + kept, key=lambda case: int(case.id)) == cases


def test_the_holdout_depends_on_the_seed_and_not_on_the_order() -> None:
    cases = [TestCase(id=CaseId(str(k)), input={"k": k}) for k in range(40)]

    kept = {case.id for case in split(cases, 0.25, seed=1)[1]}

    assert kept == {case.id for case in split(cases[::-1], 0.25, seed=1)[1]}
    assert kept != {case.id for case in split(cases, 0.25, seed=2)[1]}


def test_a_study_keeps_its_holdout_apart(load: Callable[[str], LoadedStudy]) -> None:
    text = """\
api: {name: x, endpoint: "https://example.com/v1"}
evaluation: {test_cases: {path: cases.json, holdout: 0.4}, metrics: [latency]}
search_space: {parameters: {a: [1, 2]}}
"""

    study = load(text)

    assert len(study.cases) == 3
    assert len(study.holdout) == 2


def test_a_case_is_found_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,q\na,1\nb,2\n")

    found = load_cases(tmp_path / "c.csv", "c.csv")

    assert [found.place(CaseId(name)) for name in ("a", "b", "other")] == [("c.csv", 2), ("c.csv", 3), ("c.csv", 0)]
