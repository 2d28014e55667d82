"""What a user gets for each kind of mistake: one line with file, line, key, value and what was expected."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.loading import LoadedStudy, load_study

Loads = Callable[[str], LoadedStudy]

BASE = """\
api:
  name: x
  endpoint: https://example.com/v1
  auth: {type: none}
search_space:
  parameters:
    model: [a, b]
    heat: {type: float, min: 0, max: 1}
evaluation:
  test_cases: cases.json
  metrics:
    accuracy: {weight: 1}
optimization:
  evolution: {population_size: 20}
"""


def message_of(load: Loads, text: str) -> str:
    with pytest.raises(SpecError) as caught:
        load(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "population_size",
            "population_sise",
            "14: optimization.evolution.population_sise: unknown key; did you mean 'population_size'?",
        ),
        (
            "population_size: 20",
            "population_size: many",
            "14: optimization.evolution.population_size: 'many': expected a whole number",
        ),
        (
            "population_size: 20",
            "population_size: 2.5",
            "14: optimization.evolution.population_size: 2.5: expected a whole number",
        ),
        (
            "population_size: 20",
            "population_size: 0",
            "14: optimization.evolution.population_size: 0: expected a number of at least 1",
        ),
        (
            "population_size: 20",
            "mutation_rate: 1.5",
            "14: optimization.evolution.mutation_rate: 1.5: expected a number of at most 1",
        ),
        (
            "population_size: 20",
            "mutation_rate: true",
            "14: optimization.evolution.mutation_rate: true: expected a number",
        ),
        (
            "  evolution:",
            "  algorithm: does_not_exist\n  evolution:",
            (
                "14: optimization.algorithm: 'does_not_exist': expected 'mab_evolution', 'tpe', 'nsga2', 'random', "
                "'grid', 'genetic' or 'mab_only'"
            ),
        ),
        ("  name: x\n", "", "1: api.name: required key is missing"),
        ("  name: x\n", "  name:\n", "2: api.name: nothing: expected text"),
        (
            "  endpoint: https://example.com/v1\n",
            "",
            "1: api.endpoint: required: the URL that calls go to (or api.models, a URL for each; or api.function)",
        ),
        (
            "https://example.com/v1",
            "example.com",
            "3: api.endpoint: 'example.com': expected a URL such as https://api.example.com/v1/chat",
        ),
        (
            "https://example.com/v1",
            "https://me:secret@example.com",
            "3: api.endpoint: the URL carries a password; use api.auth with type basic",
        ),
        (
            "https://example.com/v1",
            "https://example.com?key=secret",
            "3: api.endpoint: the URL carries a key; put it in an environment variable and write ${NAME}",
        ),
        (
            "{type: none}",
            "{type: bearer}",
            "4: api.auth.token_env: required for type bearer: the environment variable that holds the key",
        ),
        (
            "{type: none}",
            "{type: bearer, token_env: sk-secret}",
            (
                "4: api.auth.token_env: expected the name of an environment variable such as OPENAI_API_KEY, "
                "not a key itself"
            ),
        ),
        (
            "{type: none}",
            "{type: basic, username: me}",
            "4: api.auth.password_env: required for type basic: the environment variable that holds the password",
        ),
        (
            "{type: none}",
            "{type: barer}",
            (
                "4: api.auth.type: (value not shown): expected 'none', 'bearer', 'api_key', 'basic' or 'oauth'; "
                "did you mean 'bearer'?"
            ),
        ),
        (
            "  auth: {type: none}\n",
            "  request: {headers: {Authorization: Bearer secret}}\n",
            (
                "4: api.request.headers: Authorization carries a key; put it in an environment variable and name that "
                "in api.auth"
            ),
        ),
        (
            "  auth: {type: none}\n",
            "  response: {result_field: 'choices[0'}\n",
            "4: api.response.result_field: 'choices[0': expected a JMESPath expression; Incomplete expression",
        ),
        (
            "  auth: {type: none}\n",
            "  response: {result_field: 'score[['}\n",
            (
                "4: api.response.result_field: 'score[[': expected a JMESPath expression; Expecting: star, got: "
                'lbracket: Parse error at column 6, token "[" (LBRACKET)'
            ),
        ),
        (
            "  auth: {type: none}\n",
            "  prices: {gpt: {input_per_million_usd: 1}}\n",
            "4: api.prices.gpt.input_per_million_usd: input and output prices are given together",
        ),
        (
            "[a, b]",
            "[a, a]",
            "7: search_space.parameters.model.values: 'a' stands twice",
        ),
        ("[a, b]", "[]", "7: search_space.parameters.model.values: []: expected at least 1"),
        (
            "[a, b]",
            "{type: categoric, values: [a]}",
            (
                "7: search_space.parameters.model.type: 'categoric': expected 'categorical', 'ordinal', 'discrete', "
                "'continuous', 'float', 'int' or 'integer'; did you mean 'categorical'?"
            ),
        ),
        (
            "[a, b]",
            "{type: int, values: [1, x]}",
            "7: search_space.parameters.model.values: 'x': expected a number for type int",
        ),
        (
            "[a, b]",
            "{description: nothing}",
            "7: search_space.parameters.model.values: expected values, or min and max, or template",
        ),
        (
            "[a, b]",
            "{template: none/*.md}",
            (
                "7: search_space.parameters.model.template: 'none/*.md' matches 0 files; expected 1 to 1000 beside the "
                "study file"
            ),
        ),
        ("min: 0, max: 1", "min: 2, max: 1", "8: search_space.parameters.heat.min: min 2 is not below max 1"),
        ("min: 0, max: 1", "min: 0", "8: search_space.parameters.heat.max: required: a range has min and max"),
        (
            "min: 0, max: 1",
            "min: 0, max: 1, step: 3",
            "8: search_space.parameters.heat.step: step 3 is longer than the range of 1",
        ),
        (
            "min: 0, max: 1",
            "min: 0, max: 1, log: true",
            "8: search_space.parameters.heat.log: min 0: a logarithmic range starts above 0",
        ),
        (
            "type: float, min: 0, max: 1",
            "type: int, min: 0, max: 1.5",
            "8: search_space.parameters.heat.max: 1.5: expected a whole number for type int",
        ),
        (
            "type: float, min: 0, max: 1",
            "min: 0, max: 10",
            "8: search_space.parameters.heat.type: required where min and max are whole numbers: int or float",
        ),
        (
            "min: 0, max: 1",
            "min: -1e308, max: 1, step: 0.1",
            "8: search_space.parameters.heat.step: the range has more than 1000000 steps of 0.1; expected a longer",
        ),
        (
            "type: float, min: 0, max: 1",
            "type: discrete, min: 0.5, max: 3000, log: true",
            "8: search_space.parameters.heat.step: log and step exclude each other",
        ),
        (
            "min: 0, max: 1",
            "min: -1e308, max: 1e308",
            "8: search_space.parameters.heat.max: the range is wider than 1e+15; expected a narrower one",
        ),
        (
            "min: 0, max: 1",
            "min: 0, max: .inf",
            "8: '.inf' is not a finite number",
        ),
        (
            "max: 1}",
            "max: 1, when: {modle: a}}",
            "8: search_space.parameters.heat.when.modle: no such parameter; did you mean 'model'?",
        ),
        (
            "max: 1}",
            "max: 1, when: {model: c}}",
            "8: search_space.parameters.heat.when.model: 'c': model can't have this value; expected one of ['a', 'b']",
        ),
        (
            "max: 1}",
            "max: 1, when: {heat: 1}}",
            (
                "8: search_space.parameters.heat.when: the conditions of heat need each other; "
                "expected one that always applies"
            ),
        ),
        (
            "evaluation:",
            "  baseline: {model: c}\nevaluation:",
            "9: search_space.baseline.model: 'c': expected one of ['a', 'b']",
        ),
        (
            "evaluation:",
            "  baseline: {haet: 1}\nevaluation:",
            "9: search_space.baseline.haet: no such parameter; did you mean 'heat'?",
        ),
        (
            "evaluation:",
            "  baseline: {heat: 1.2}\nevaluation:",
            "9: search_space.baseline.heat: 1.2: expected a number from 0 to 1",
        ),
        (
            "evaluation:",
            "  candidates: [{model: a, heat: 7}]\nevaluation:",
            "9: search_space.candidates[0].heat: 7: expected a number from 0 to 1",
        ),
        (
            "cases.json",
            "case.json",
            "10: evaluation.test_cases.path: case.json: no such file; did you mean 'cases.json'?",
        ),
        (
            "cases.json",
            "scorer.py",
            (
                "10: evaluation.test_cases.path: scorer.py: .py: expected a file ending in .json, .jsonl, .csv, .tsv, "
                ".yaml or .yml"
            ),
        ),
        ("cases.json", "[]", "10: evaluation.test_cases: no test cases; expected at least one"),
        (
            "cases.json",
            "[{id: a, prompt: x}, {id: a, prompt: y}]",
            "10: evaluation.test_cases[1].id: 'a': duplicate id; first on line 10",
        ),
        (
            "cases.json",
            "{path: cases.json, holdout: 1}",
            "10: evaluation.test_cases.holdout: 1: expected a number below 1",
        ),
        ("weight: 1", "weight: -1", "12: evaluation.metrics.accuracy.weight: -1: expected a number of at least 0"),
        ("weight: 1", "weight: 0", "11: evaluation.metrics: all weights are 0; expected at least one above 0"),
        (
            "weight: 1",
            "type: sideways",
            (
                "12: evaluation.metrics.accuracy.type: 'sideways': expected 'higher_is_better', 'lower_is_better' or "
                "'llm_judge'"
            ),
        ),
        (
            "weight: 1",
            "function: contain",
            "12: evaluation.metrics.accuracy.function: 'contain': no such function; did you mean 'contains'?",
        ),
        (
            "weight: 1",
            "function: javascript",
            (
                "12: evaluation.metrics.accuracy.function: 'javascript': JavaScript is not run here; write it in "
                "Python as type: python"
            ),
        ),
        (
            "weight: 1",
            "assert: [{type: contain, value: x}]",
            (
                "12: evaluation.metrics.accuracy.assert[0].type: 'contain': no such type of assertion; did you mean "
                "'contains'?"
            ),
        ),
        (
            "weight: 1",
            "assert: [{type: latency}]",
            (
                "12: evaluation.metrics.accuracy.assert[0].threshold: required for latency: the most allowed, in "
                "milliseconds"
            ),
        ),
        (
            "weight: 1",
            "assert: [{type: python, value: 'output = ='}]",
            "12: evaluation.metrics.accuracy.assert[0].value: 'output = =': not valid Python: invalid syntax",
        ),
        (
            "accuracy: {weight: 1}",
            "latency_msec: 1",
            (
                "12: evaluation.metrics.latency_msec: nobody computes this metric; give it a function, or a "
                "custom_evaluator; did you mean 'latency_ms'?"
            ),
        ),
        (
            "{weight: 1}",
            "{function: custom}",
            (
                "12: evaluation.metrics.accuracy: function custom needs evaluation.custom_evaluator with the module "
                "that computes it"
            ),
        ),
        (
            "accuracy: {weight: 1}",
            "latency_ms: {type: higher_is_better}",
            "12: evaluation.metrics.latency_ms.type: higher_is_better: expected lower_is_better",
        ),
        (
            "optimization:",
            "  custom_evaluator: {module: scorr}\noptimization:",
            "13: evaluation.custom_evaluator.module: no file scorr.py beside the study file; did you mean 'scorer.py'?",
        ),
        (
            "optimization:",
            "  custom_evaluator: {module: scorer, function: score}\noptimization:",
            "13: evaluation.custom_evaluator.function: scorer.py defines no 'score'; expected one of: score_response",
        ),
        (
            "optimization:",
            "  constraints: {acuracy: {min: 1}}\noptimization:",
            "13: evaluation.constraints.acuracy: no such metric; did you mean 'accuracy'?",
        ),
        (
            "optimization:",
            "  constraints: {accuracy: {min: 90}}\noptimization:",
            "13: evaluation.constraints.accuracy.min: 90: accuracy is a share; expected 0 to 1, as in 0.9",
        ),
        (
            "optimization:",
            "  constraints: {latency: {max: -5}}\noptimization:",
            "13: evaluation.constraints.latency.max: -5: latency is never below 0; expected a number of at least 0",
        ),
        (
            "optimization:",
            "  constraints: {accuracy: {min: 1, max: 0}}\noptimization:",
            "13: evaluation.constraints.accuracy.min: min 1 is above max 0",
        ),
        (
            "optimization:",
            "budget: {usd: 0}\noptimization:",
            "13: budget.usd: 0: expected a number above 0",
        ),
        (
            "weight: 1",
            "weight: 1e308",
            "12: evaluation.metrics.accuracy.weight: 1e+308: expected a number of at most 1e+06",
        ),
        (
            "    model: [a, b]",
            '    "": [a, b]',
            "6: search_space.parameters: '': expected a parameter's name, which is not empty",
        ),
        (
            "optimization:",
            "budget: {usd: 1e300}\noptimization:",
            "13: budget.usd: 1e+300: expected a number of at most 1e+09",
        ),
        (
            "auth: {type: none}",
            'request: {headers: {X-A: "a\\nb: c"}}',
            "4: api.request.headers: X-A has a line break or another control character; expected one line",
        ),
        (
            "auth: {type: none}",
            "request: {headers: {X A: b}}",
            "4: api.request.headers: 'X A': expected a header's name, of letters, digits and hyphens",
        ),
        (
            "auth: {type: none}",
            "prices: {per_call_usd: 1e308}",
            "4: api.prices.*.per_call_usd: 1e+308: expected a number of at most 1e+09",
        ),
        (
            "evolution: {population_size: 20}",
            "execution: {deterministic: true, max_repeats: 2}",
            "14: optimization.execution.max_repeats: 2: expected 1 for a deterministic API",
        ),
        (
            "evolution: {population_size: 20}",
            "algorithm: grid",
            "8: search_space.parameters.heat.step: required by algorithm grid: a real number without step has no grid",
        ),
        ("optimization:", "bogus: 1\noptimization:", "13: bogus: unknown key; expected one of: agent, api, "),
        ("optimization:", "api: 1\noptimization:", "13: duplicate key 'api'; first on line 1"),
        ("optimization:", "weave: [x]\noptimization:", "13: weave: ['x']: expected a mapping of keys to values"),
        ("[a, b]", "[a, b", "8: not valid YAML: did not find expected ',' or ']'"),
        (
            "[a, b]",
            "!!python/object:os.system [a]",
            "7: tag 'tag:yaml.org,2002:python/object:os.system' is not allowed",
        ),
        ("[a, b]", "&x [*x]", "7: alias *x contains itself"),
        ("[a, b]", "*x", "7: alias *x has no anchor &x before it"),
        ("[a, b]", "[" * 70 + "]" * 70, "7: nested deeper than 64 levels"),
        ("[a, b]", '["\\ud800"]', "7: "),
    ],
)
def test_a_mistake_is_one_line_with_its_place(load: Loads, old: str, new: str, expected: str) -> None:
    message = message_of(load, BASE.replace(old, new, 1))

    assert message.startswith(f"study.yaml:{expected}")
    assert "\n" not in message
    assert not message.endswith(":")
    assert "secret" not in message


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(load: Loads) -> None:
    text = BASE.replace("name: x", "nam: x").replace("max: 1", "max: -1").replace("population_size", "populationsize")

    lines = message_of(load, text).splitlines()

    assert [line.split(": ")[0] for line in lines] == ["study.yaml:1", "study.yaml:2", "study.yaml:8", "study.yaml:14"]


def test_mistakes_in_other_files_are_told_with_those_of_the_study(load: Loads, folder: Path) -> None:
    (folder / "cases.json").write_text('[\n  {"id": "a", "input": "x"},\n  {"id": "a", "input": "y", "weight": 0}\n]')

    lines = message_of(load, BASE.replace("{weight: 1}", "{function: custom}")).splitlines()

    assert lines == [
        (
            "cases.json:3: [1].weight: 0: expected a number from 0.000001 to 1000000, 1 for a case that counts as any "
            "other"
        ),
        (
            "study.yaml:12: evaluation.metrics.accuracy: function custom needs evaluation.custom_evaluator with the "
            "module that computes it"
        ),
    ]


def test_an_evaluator_that_is_no_python_is_told_at_its_own_line(load: Loads, folder: Path) -> None:
    (folder / "scorer.py").write_text("x = 1\ndef score_response(:\n")

    message = message_of(load, BASE.replace("optimization:", "  custom_evaluator: {module: scorer}\noptimization:"))

    assert message.startswith("scorer.py:2: not valid Python: ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "study.yaml:1: the file is empty"),
        (b"# nothing\n", "study.yaml:1: the file is empty"),
        (b"- 1\n", "study.yaml:1: [1]: expected a mapping of keys to values"),
        (b"a: \xff\n", "study.yaml:1: not UTF-8 text; save the file as UTF-8"),
        (b"a: 1\n---\nb: 2\n", "study.yaml:1: more than one document; expected one"),
        (b"a: \x00\n", "study.yaml: not valid YAML: "),
        (b"x" * 10_000_001, "study.yaml: the file has more than 10 MB"),
    ],
)
def test_a_file_that_is_no_study_is_told_in_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "study.yaml").write_bytes(content)

    with pytest.raises(SpecError) as caught:
        load_study(tmp_path / "study.yaml")

    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("")

    with pytest.raises(SpecError, match=r"^studdy.yaml: no such file; did you mean 'study.yaml'\?$"):
        load_study(tmp_path / "studdy.yaml")


def test_a_folder_is_not_a_study(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").mkdir()

    with pytest.raises(SpecError, match=r"^study.yaml: can't be read: "):
        load_study(tmp_path / "study.yaml")


def test_aliases_that_multiply_are_refused_before_they_are_expanded(load: Loads) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    text = "\n".join(["l0: &l0 [x]", *levels])

    message = message_of(load, text)

    assert message == "study.yaml:6: aliases repeat more than 100000 values; write them out"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"api": NaN}', "study.json: not valid JSON: NaN is not a finite number"),
        ('{"api": 1e999}', "study.json:1: '1e999' is not a finite number"),
        ('{\n"a": 1,\n"a": 2}', "study.json:3: duplicate key 'a'; first on line 2"),
        ('{\n"a": }', "study.json:2: not valid JSON: Expecting value"),
        ("[" * 100_000, "study.json: nested too deeply"),
        ('{"a": "\\ud800"}', "study.json"),
    ],
)
def test_json_that_is_no_study_is_told_in_one_line(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "study.json").write_text(content)

    with pytest.raises(SpecError) as caught:
        load_study(tmp_path / "study.json")

    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)
