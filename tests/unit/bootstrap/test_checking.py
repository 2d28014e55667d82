"""What no call could live up to is told before the first one."""

import pytest

from convergence_cluster.bootstrap.checking import check_study
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.loading import LoadedStudy, loads


def study_with(text: str, *, place: str = "body") -> LoadedStudy:
    return loads(f"""\
api:
  name: x
  endpoint: https://example.com/v1
  request:
    {place}: {{key: '{text}'}}
search_space:
  parameters:
    algo: [exact, ann]
    kind: [a, b]
    ef: {{type: int, min: 1, max: 9, when: {{algo: ann}}}}
    always: {{values: [1, 2], when: {{kind: [a, b]}}}}
    deep: {{values: [{{size: 1}}, {{size: 2, rest: 3}}]}}
evaluation:
  test_cases:
    - {{id: first, input: {{q: one, more: {{lang: en}}}}, expected: b}}
    - {{id: second, input: {{q: two, hint: three}}, expected: b}}
  metrics: {{success_rate: 1}}
""")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ params.alg }}", "params.alg: no such parameter; did you mean 'algo'?"),
        ("{{ params.__class__.__mro__ }}", "params.__class__.__mro__: no such parameter; expected one of: algo"),
        (
            "{{ params.ef }}",
            "params.ef: ef has a condition, and is absent where that does not hold; write `{{ params.ef | default(",
        ),
        ("a/{{ params.algo }}/{{ params.ef }}", "params.ef: ef has a condition"),
        ("{{ params.ef * 2 }}", "params.ef: ef has a condition"),
        ('{{ params["alg"] }}', "params.alg: no such parameter"),
        ("{{ params.deep.rest }}", "params.deep.rest: {'size': 1} has no rest; write `{{ params.deep.rest | default"),
        ("{{ case.qq }}", "case.qq: no test case has it; did you mean 'q'?"),
        ("{{ case.hint }}", "case.hint: 1 of 2 test cases lack it, 'first' the first; write `{{ case.hint | default"),
        ("{{ case.more.lang }}", "case.more.lang: 1 of 2 test cases lack it, 'second' the first"),
        ("{{ input.qq }}", "input.qq: no test case has it; did you mean 'q'?"),
        ("{{ q }}", "q: no such name; expected one that begins with case., input., params."),
        ("{{ submitted.id }}", "submitted.id: no such name"),
        ("{{ params.algo ", "not a valid template: unexpected end of template"),
    ],
)
@pytest.mark.parametrize("place", ["body", "query", "headers"])
def test_a_template_that_some_call_cannot_fill_is_told_at_its_line(text: str, expected: str, place: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_study(study_with(text, place=place))

    assert str(caught.value).startswith(f"study.yaml:5: api.request.{place}.key: {expected}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ params.ef | default(omit) }}",
        "{{ params.ef | default(3) | int }}",
        '{{ params.ef if params.algo == "ann" else 0 }}',
        "{% if params.ef is defined %}{{ params.ef }}{% endif %}",
        "{{ params.algo.upper() }}",
        "{{ params.always }}",
        "{{ params.deep.size }}",
        "{{ params }}",
        "{{ params.items() | list | length }}",
        "{{ case.q }} {{ case.id }} {{ case.input }} {{ case.metadata }} {{ input.q }}",
        "{{ omit }}",
        "{{ range(3) | list }}",
        "plain",
    ],
)
def test_a_template_that_every_call_can_fill_is_accepted(text: str) -> None:
    check_study(study_with(text))


def test_the_endpoint_and_the_steps_of_a_job_are_checked_too() -> None:
    study = loads("""\
api:
  name: x
  endpoint: https://example.com/{{ params.modle }}
  polling:
    poll: /jobs/{{ submitted.id }}
    done_when: body.done
    result: /jobs/{{ params.od }}
  cleanup: {url: "/jobs/{{ submitted.id }}", headers: {x: "{{ case.w }}"}}
search_space: {parameters: {model: [a]}}
evaluation:
  test_cases: [{input: {q: one}}]
  metrics: {success_rate: 1}
""")

    with pytest.raises(SpecError) as caught:
        check_study(study)

    assert [line.rpartition(": params")[0] or line.partition("; ")[0] for line in str(caught.value).splitlines()] == [
        "study.yaml:3: api.endpoint",
        "study.yaml:7: api.polling.result.url",
        "study.yaml:8: api.cleanup.headers.x: case.w: no test case has it",
    ]


def test_of_given_configurations_each_has_to_have_the_parameter() -> None:
    study = loads("""\
api: {name: x, endpoint: https://example.com, request: {body: {a: "{{ params.a }}", b: "{{ params.b }}"}}}
search_space:
  candidates: [{a: 1, kind: x, b: 2}, {a: 2, kind: y}]
  parameters: {a: [1, 2], kind: [x, y], b: {values: [2], when: {kind: x}}}
evaluation: {test_cases: [{input: {q: one}}], metrics: {success_rate: 1}}
""")

    with pytest.raises(SpecError) as caught:
        check_study(study)

    assert str(caught.value) == (
        "study.yaml:1: api.request.body.b: params.b: the candidate {'a': 2, 'kind': 'y'} has no b; write "
        "`{{ params.b | default(omit) }}`, which leaves it out there"
    )


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("Answer: {{ case.qestion }}", "case.qestion: no test case has it; did you mean 'question'?"),
        ("Answer: {{ case.question ", "not a valid template: unexpected end of template"),
        ("Answer: {{ case.question }}", None),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "http"])
def test_a_prompt_is_a_template_where_the_api_chats(template: str, told: str | None, provider: str) -> None:
    study = loads(f"""\
api: {{name: x, provider: {provider}, endpoint: https://example.com}}
search_space: {{parameters: {{model: [m], prompt_template: ["{{{{ case.question }}}}", "{template}"]}}}}
evaluation: {{test_cases: [{{question: Why}}], metrics: {{success_rate: 1}}}}
""")

    if told is None or provider == "http":
        check_study(study)
        return
    with pytest.raises(SpecError) as caught:
        check_study(study)

    place = "study.yaml:2: search_space.parameters.prompt_template"
    assert str(caught.value).startswith(f"{place}: '{template}': {told}")


def scored_by(metric: str, *expected: str) -> LoadedStudy:
    cases = "\n".join(f"    - {{id: case{n}, q: {n}{each}}}" for n, each in enumerate(expected))
    return loads(f"""\
api: {{name: x, endpoint: https://example.com}}
search_space: {{parameters: {{a: [1, 2]}}}}
evaluation:
  metrics: {{good: {metric}}}
  test_cases:
{cases}
""")


@pytest.mark.parametrize(
    ("metric", "expected", "told"),
    [
        ("{function: numeric}", ", expected: banana", ": `expected` is 'banana'; a number was expected"),
        ("{function: not_numeric}", ", expected: banana", ": `expected` is 'banana'; a number was expected"),
        ("{function: numeric, field: a}", ", expected: banana", ": `expected` is 'banana'; a number was expected"),
        ("{function: contains}", "", ": the test case has no `expected` to compare the answer with"),
        ("{function: contains}", ", expected: []", ": `expected` is an empty list"),
        (
            "{function: exact}",
            ", expected: {lang: en}",
            ": `expected` has the keys ['lang']; one of exact, equals, answer",
        ),
        ("{function: regex}", ", expected: '('", ": '(' is not a valid regular expression"),
        ("{function: json_schema}", ", expected: {schema: {type: 5}}", ": not a valid JSON schema"),
        ("{function: rouge-n}", "", ", rouge-n: the test case has no `expected` to compare the answer with"),
        (
            "{function: word-count}",
            ", expected: five",
            ", word-count: 'five': expected a number of words, or min and max",
        ),
        ("{function: not-word-count}", ", expected: five", ", not-word-count: 'five': expected a number of words"),
        (
            "{function: assert, assert: [{type: is-json}, {type: contains, value: '{{ hint }}'}]}",
            "",
            ", contains: the template '{{ hint }}' failed: 'hint' is undefined",
        ),
        (
            "{function: assert}",
            ", assert: [{type: assert-set, assert: [{type: contains-any, value: ','}]}]",
            ", contains-any: the list of texts is empty",
        ),
        ("{function: length}", ", expected: {mim: 3}", ": `length` needs `min` or `max`"),
    ],
)
def test_a_case_that_no_answer_can_be_scored_against_is_told_at_its_line(metric: str, expected: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_study(scored_by(metric, ", hint: 1, expected: {min: 1, text: '5', schema: {}, word_count: 5}", expected))

    assert str(caught.value).startswith(f"study.yaml:7: metric 'good', test case 'case1'{told}")
    assert str(caught.value).endswith("; correct it, or give the metric a `value` that is expected of every answer")
    assert "\n" not in str(caught.value)


def test_what_a_metric_expects_of_every_answer_stands_in_for_the_cases() -> None:
    check_study(scored_by("{function: numeric, value: 0.5}", "", ", expected: banana"))


def test_what_only_a_model_or_a_script_can_decide_is_left_to_it() -> None:
    study = scored_by("{function: is-json}", ", assert: [{type: python, value: 'output == 1'}]", "")

    check_study(study)


def test_of_many_cases_that_cannot_be_scored_a_few_are_told() -> None:
    with pytest.raises(SpecError) as caught:
        check_study(scored_by("{function: numeric}", *[", expected: x"] * 100))

    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert "study.yaml: metric 'good': the same of 95 more" in lines
