"""Every form in which users bring a study along."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.search import Direction
from convergence_cluster.domain.space import ParameterKind
from convergence_cluster.spec.loading import LoadedStudy, load_study, loads
from convergence_cluster.spec.schema import StudySpec

Loads = Callable[[str], LoadedStudy]

FULL = """\
api:
  name: my_api
  description: The API
  endpoint: https://api.example.com/v1/chat
  models:
    small: {endpoint: "https://api.example.com/small", description: Small one}
    large: {endpoint: "https://api.example.com/large"}
  auth:
    type: api_key
    token_env: MY_KEY
    header_name: x-api-key
    username: me
    password_env: MY_PASSWORD
  request:
    method: POST
    headers: {Content-Type: application/json}
    timeout_seconds: 30
  response:
    success_field: success
    result_field: "choices[0].message.content"
    error_field: error
  adapter_enabled: false
  mock_mode: false
search_space:
  parameters:
    model: {type: categorical, values: [small, large], description: Which one}
    stop: {type: categorical, values: [null, ["END"], true]}
    max_tokens: {type: discrete, values: [256, 512, 1024]}
    retries: {type: discrete, min: 1, max: 5}
    temperature: {type: continuous, min: 0.0, max: 1.0, step: 0.1}
    top_p: {type: continuous, min: 0.1, max: 1.0}
  templates:
    greeting: {path: prompts/v1.md, variables: [name]}
evaluation:
  test_cases:
    path: cases.json
    inline: []
    augmentation:
      enabled: true
      mutation_rate: 0.3
      crossover_rate: 0.2
      augmentation_factor: 2
      preserve_originals: true
  metrics:
    accuracy: {weight: 0.5, type: higher_is_better, function: custom, description: How right}
    latency_ms: {weight: 0.3, type: lower_is_better, threshold: 2000}
    cost_usd: {weight: 0.2, type: lower_is_better, budget_per_call: 0.01}
  custom_evaluator: {enabled: true, module: scorer, function: score_response}
optimization:
  algorithm: mab_evolution
  mab: {strategy: thompson_sampling, exploration_rate: 0.1, confidence_level: 0.95}
  evolution:
    population_size: 20
    generations: 10
    mutation_rate: 0.2
    crossover_rate: 0.7
    elite_size: 2
    early_stopping_generations: 6
  execution:
    experiments_per_generation: 50
    parallel_workers: 5
    max_retries: 3
    retry_delay_seconds: 2
    delay_between_calls: 0.5
    early_stopping: {enabled: true, patience: 3, min_improvement: 0.01}
output:
  save_path: ./results/optimization_run
  save_all_experiments: true
  formats: [json, markdown, csv]
  visualizations: [score_over_time, parameter_importance, pareto_front, cost_vs_quality]
  export_best_config: {enabled: true, format: python, output_path: ./best_config.py}
society:
  enabled: true
  auto_generate_agents: true
  agents:
    planner: {count: 1, strategy: random, memory: [episodic]}
  collaboration: {enabled: true, trust_threshold: 0.7, strategy: debate}
  learning: {rlp_enabled: true, sao_enabled: true}
  storage: {backend: multi, path: ./data/optimization, cache_enabled: true}
  weave: {enabled: true, organization: us, project: them}
  llm: {model: gemini/gemini-2.0-flash-exp, api_key_env: GEMINI_API_KEY, temperature: 0.7, max_tokens: 1000}
agent:
  reddit_auth:
    client_id_env: REDDIT_CLIENT_ID
    client_secret_env: REDDIT_CLIENT_SECRET
    user_agent: tester/1.0
    username_env: REDDIT_USERNAME
    password_env: REDDIT_PASSWORD
  discord_auth: {bot_token_env: DISCORD_BOT_TOKEN}
  models:
    gpt-4.1: {endpoint: "https://x.example.com", description: Big}
legacy:
  enabled: true
  session_id: mine
  tracking_backend: mlflow
  sqlite_path: ./data/legacy.db
  export_dir: ./legacy
  export_formats: [winners_only, full_audit]
  mlflow_config: {uri: x}
  aim_config: {}
  weave_config: {}
  storage_path: ./data
"""

README = """\
api:
  name: "my_api"
  endpoint: "https://api.service.com/endpoint"
  auth:
    type: "bearer"
    token_env: "API_KEY"  # Environment variable name
search_space:
  parameters:
    temperature: [0.3, 0.5, 0.7]
    model: ["gpt-4", "gpt-3.5-turbo"]
evaluation:
  metrics:
    quality: {weight: 0.6, type: "higher_is_better"}
    cost: {weight: 0.4, type: "lower_is_better"}
optimization:
  execution:
    parallel_workers: 5     # Run 5 tests simultaneously
    generations: 10         # More generations = better results
    population_size: 20     # Test 20 configs per generation
weave:
  enabled: true
  organization: "your-org"
  project: "api-optimization"
"""

NEW = """\
api:
  name: support-bot
  provider: openai
  endpoint: https://api.openai.com/v1/chat/completions
  auth: {type: bearer, token_env: OPENAI_API_KEY}
  request: {method: POST, headers: {}, timeout_seconds: 30, body: {user: "{{ case.user }}"}, query: {v: 1}}
  response:
    result_field: "choices[0].message.content"
    usage: usage
    cost: [{path: credits, per_unit: 0.001}]
    error_field: error.message
    success_field: ok
    success_when: "status == `200`"
    finish: "choices[0].finish_reason"
    model: model
  rate: {rpm: 500, tpm: 200000, concurrency: 64}
  prices: {gpt-4.1-mini: {input_per_million_usd: 0.4, output_per_million_usd: 1.6, cached_per_million_usd: 0.1}}
search_space:
  parameters:
    model: [gpt-4.1-mini, gpt-4.1-nano, o4-mini]
    temperature: {type: continuous, min: 0, max: 1, step: 0.1}
    max_tokens: {type: discrete, values: [256, 512, 1024]}
    effort: {values: [low, high], when: {model: [o4-mini]}}
    system_prompt: {template: prompts/*.md}
  baseline: {model: gpt-4.1-mini, temperature: 1.0}
evaluation:
  test_cases: {path: cases.json, holdout: 0.2}
  metrics:
    quality: {weight: 0.6, type: higher_is_better, function: contains}
    latency_ms: {weight: 0.2, type: lower_is_better, threshold: 2000}
    cost_usd: {weight: 0.2, type: lower_is_better, budget_per_call: 0.01}
  custom_evaluator: {module: scorer, function: score_response}
  constraints: {quality: {min: 0.8}}
optimization:
  algorithm: mab_evolution
  mab: {strategy: thompson_sampling}
  evolution: {population_size: 20, generations: 10, mutation_rate: 0.2, crossover_rate: 0.7, elite_size: 2}
  execution:
    parallel_workers: 5
    max_retries: 3
    deterministic: false
    max_repeats: 2
    early_stopping: {enabled: true, patience: 3, min_improvement: 0.01, confidence: 0.9, within: 0.02}
  seed: 7
budget: {usd: 5.00, calls: 2000, minutes: 30, usd_per_call: 0.01}
output:
  save_path: ./results/x
  formats: [json, markdown, csv, html]
  visualizations: [pareto_front]
  export_best_config: {format: env, output_path: best.env}
legacy: {enabled: true, session_id: x}
"""

SHORT = """\
api: {name: x, endpoint: "https://example.com/v1"}
search_space:
  parameters:
    model: [a, b]
evaluation:
  test_cases: cases.json
  metrics: [latency]
"""


def test_the_full_form_loads_and_says_which_keys_have_no_effect(load: Loads) -> None:
    study = load(FULL)

    assert [parameter.kind.value for parameter in study.space.parameters] == [
        "categorical",
        "categorical",
        "ordinal",
        "integer",
        "continuous",
        "continuous",
    ]
    assert {metric.name: metric.scale for metric in study.metrics} == {
        "accuracy": None,
        "latency_ms": 2000,
        "cost_usd": 0.01,
    }
    assert {note.split(":")[0] for note in study.notes} == {
        "agent",
        "evaluation.test_cases.augmentation",
        "legacy.export_dir",
        "legacy.export_formats",
        "legacy.mlflow_config",
        "legacy.storage_path",
        "legacy.tracking_backend",
        "optimization.evolution.early_stopping_generations",
        "optimization.execution.delay_between_calls",
        "optimization.execution.experiments_per_generation",
        "optimization.execution.retry_delay_seconds",
        "search_space.templates",
        "society",
    }


def test_the_new_keys_load_without_a_note(load: Loads) -> None:
    study = load(NEW)

    assert study.notes == ()
    assert study.baseline == {
        "model": "gpt-4.1-mini",
        "temperature": 1.0,
        "max_tokens": 512,
        "system_prompt": "prompts/v1.md",
    }
    assert study.max_calls == 2000
    assert len(study.cases) == 4


def test_the_readme_loads_with_its_cases_beside_it(folder: Path) -> None:
    cases = [{"input": {"prompt": "Explain quantum computing"}, "expected": {"min_length": 100}}]
    (folder / "test_cases.json").write_text(json.dumps(cases))
    (folder / "config.yaml").write_text(README)

    study = load_study(folder / "config.yaml")

    assert [(m.name, m.weight, m.function) for m in study.metrics] == [
        ("quality", 0.6, "length"),
        ("cost_usd", 0.4, "measured"),
    ]
    assert study.baseline == {"temperature": 0.5, "model": "gpt-4"}
    assert study.spec.optimization.evolution.generations == 10
    assert study.notes[0] == "weave: accepted, not acted on yet"


def test_the_readme_uses_the_evaluator_beside_it(folder: Path) -> None:
    (folder / "test_cases.json").write_text('{"input": {"prompt": "hi"}}')
    (folder / "evaluator.py").write_text("def score_response(result, expected, params, metric=None): return 1")

    study = loads(README, directory=folder)

    assert study.metrics[0].function == "custom"
    assert study.evaluator is not None
    assert study.evaluator.path == folder / "evaluator.py"


def test_multi_objective_metrics_of_the_readme_map_to_what_is_measured(load: Loads) -> None:
    metrics = """metrics:
    accuracy: {weight: 0.5, type: "higher_is_better"}
    latency: {weight: 0.3, type: "lower_is_better"}
    cost: {weight: 0.2, type: "lower_is_better"}"""

    study = load(SHORT.replace("metrics: [latency]", metrics))

    assert [(o.name, o.direction) for o in study.objectives] == [
        ("accuracy", Direction.MAXIMIZE),
        ("latency_ms", Direction.MINIMIZE),
        ("cost_usd", Direction.MINIMIZE),
    ]
    assert study.metrics[0].function == "exact"


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("[0.3, 0.5, 0.7]", ParameterKind.ORDINAL),
        ("[0.7, 0.5]", ParameterKind.CATEGORICAL),
        ("[a, b]", ParameterKind.CATEGORICAL),
        ("[true, false]", ParameterKind.CATEGORICAL),
        ("[7]", ParameterKind.CATEGORICAL),
        ("gpt-4", ParameterKind.CATEGORICAL),
        ("{type: float, choices: [0.7, 0.1]}", ParameterKind.ORDINAL),
        ("{type: int, choices: [3, 1]}", ParameterKind.ORDINAL),
        ("{type: categorical, values: [1, 2]}", ParameterKind.CATEGORICAL),
        ("{type: discrete, values: [b, a]}", ParameterKind.CATEGORICAL),
        ("{type: float, min: 0, max: 1}", ParameterKind.CONTINUOUS),
        ("{type: int, min: 1, max: 9}", ParameterKind.INTEGER),
        ("{type: discrete, min: 0, max: 1, step: 0.25}", ParameterKind.CONTINUOUS),
        ("{min: 0, max: 1.5}", ParameterKind.CONTINUOUS),
        ("{min: 0, max: 10, step: 2}", ParameterKind.INTEGER),
        ("{template: 'prompts/*.md'}", ParameterKind.CATEGORICAL),
    ],
)
def test_a_parameter_is_of_the_kind_that_its_short_form_says(load: Loads, written: str, kind: ParameterKind) -> None:
    study = load(SHORT.replace("[a, b]", written))

    assert study.space.parameters[0].kind is kind


@pytest.mark.parametrize(
    ("old", "new", "read"),
    [
        ("metrics: [latency]", "metrics: {latency: }", lambda s: s.metrics[0].name == "latency_ms"),
        ("metrics: [latency]", "metrics: {latency: 3, cost: 1}", lambda s: s.metrics[0].weight == 0.75),
        ("test_cases: cases.json", "test_cases: [{prompt: hi}]", lambda s: s.cases[0].input == {"prompt": "hi"}),
        ("test_cases: cases.json", "test_cases: {path: cases.json, holdout: 0.2}", lambda s: len(s.holdout) == 1),
        ("test_cases: cases.json", "test_cases: cases.json\n  holdout: 0.4", lambda s: len(s.holdout) == 2),
        (
            "name: x,",
            "name: x, auth: {type: api_key, token_env: K, api_key_header: X-K},",
            lambda s: s.spec.api.auth.header_name == "X-K",
        ),
        ("name: x,", "name: 2024,", lambda s: s.spec.api.name == "2024"),
        ("name: x,", "name: x, prices: {per_call_usd: 1},", lambda s: s.spec.api.prices["*"].per_call_usd == 1),
        ("name: x,", "name: x, response: {cost: credits},", lambda s: s.spec.api.response.cost[0].path == "credits"),
        (
            "name: x,",
            "name: x, response: {usage: meta.usage},",
            lambda s: s.spec.api.response.usage.object == "meta.usage",
        ),
        ("name: x,", "name: x, request: {method: get},", lambda s: s.spec.api.request.method == "GET"),
        ("search_space:", "legacy: {enabled: no}\nsearch_space:", lambda s: s.spec.legacy.enabled is False),
        ("search_space:", "output:\nsearch_space:", lambda s: s.spec.output.formats[0] == "json"),
        (
            "search_space:",
            "optimization: {early_stopping: {patience: 3}}\nsearch_space:",
            lambda s: s.spec.optimization.execution.early_stopping.patience == 3,
        ),
        (
            "search_space:",
            "rate_limiting: {enabled: true, requests_per_minute: 50, burst_limit: 10}\nsearch_space:",
            lambda s: s.spec.api.rate.rpm == 50,
        ),
        (
            "search_space:",
            "optimization: {algorithm: genetic, mab: {strategy: ucb1}}\nsearch_space:",
            lambda s: len(s.notes) == 2,
        ),
    ],
)
def test_a_short_form_means_its_long_form(load: Loads, old: str, new: str, read: Callable[[LoadedStudy], bool]) -> None:
    assert read(load(SHORT.replace(old, new)))


def test_a_json_study_loads_as_its_yaml_does(folder: Path) -> None:
    document = {
        "api": {"name": "x", "endpoint": "https://example.com/v1"},
        "search_space": {"parameters": {"model": ["a", "b"]}},
        "evaluation": {"test_cases": "cases.json", "metrics": ["latency"]},
    }
    (folder / "study.json").write_text(json.dumps(document, indent="\t"))

    study = load_study(folder / "study.json")

    assert study.digest == loads(SHORT, directory=folder).digest


@pytest.mark.parametrize("text", [FULL, NEW, SHORT])
def test_a_normalised_study_reads_back_as_itself(load: Loads, text: str) -> None:
    spec = load(text).spec

    assert StudySpec.model_validate(json.loads(json.dumps(spec.document()))) == spec
