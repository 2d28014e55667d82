"""What the README and docs name exists, and their study files load."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from convergence_cluster.bootstrap.checking import check_study
from convergence_cluster.cli import COMMANDS, main
from convergence_cluster.sandbox.landscapes import landscape
from convergence_cluster.sandbox.models import MODELS
from convergence_cluster.sandbox.serve import build_parser
from convergence_cluster.sandbox.setting import setting_of
from convergence_cluster.spec.loading import loads

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
EXIST_IN_FILE_ONLY = {"version"}
"""An old spelling of `--version`, which is not listed."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"(?:^|[\s/('])convergence ([a-z][a-z-]*)([^\n#]*)", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_VARIABLE = re.compile(r"CONVERGENCE_[A-Z_]+")

SEED = {
    "api": {"name": "x", "endpoint": "https://example.com/v1"},
    "search_space": {"parameters": {"heat": [0.1, 0.2]}},
    "evaluation": {"test_cases": [{"input": {"q": "a"}, "expected": "b"}], "metrics": {"success_rate": 1}},
}
"""What an excerpt of a study is completed with."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in _FENCE.findall(text_of(page)) if kind == language]


def code_of(page: Path) -> Iterator[str]:
    """Yield what is set as code for a shell, blocks first; tables write one cell a span."""
    yield from blocks(page, "bash")
    for span in _SPAN.findall(_FENCE.sub("", text_of(page))):
        yield " ".join(span.split())


def named_commands() -> list[tuple[str, str, str]]:
    found = {
        (page.name, command, rest.strip())
        for page in PAGES
        for code in code_of(page)
        for command, rest in _COMMAND.findall(code)
    }
    return sorted(found)


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("page", "command", "rest"), named_commands())
def test_a_named_command_and_its_options_exist(
    page: str, command: str, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command in COMMANDS or command in EXIST_IN_FILE_ONLY, page

    options = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest)
    if not options or command in EXIST_IN_FILE_ONLY:
        return
    words = [command]
    known = build_parser().format_help() if command == "sandbox" else help_of(words, capsys)
    if command in {"legacy", "cache"}:
        verb = next(word for word in rest.split() if word in {"list", "show", "export", "import", "info", "prune"})
        known += help_of([command, verb], capsys)
    assert [option for option in options if not re.search(rf"{option}\b", known)] == [], page


def test_an_option_that_stands_by_itself_belongs_to_some_command(capsys: pytest.CaptureFixture[str]) -> None:
    spans = {span for page in PAGES for span in _SPAN.findall(_FENCE.sub("", text_of(page)))}
    named = {span.split()[0] for span in spans if re.match(r"--?[a-z]", span)} - {"--version"}
    known = "".join(help_of([command], capsys) for command in COMMANDS)

    assert named >= {"--new", "--json"}
    assert [option for option in named if not re.search(rf"(?<![\w-]){option}\b", known)] == []


def test_enough_commands_were_found_to_mean_something() -> None:
    assert {command for _, command, _ in named_commands()} >= COMMANDS.keys()


def test_the_readme_names_every_command() -> None:
    spans = " ".join(_SPAN.findall(_FENCE.sub("", text_of(PAGES[0]))))

    assert [name for name in COMMANDS if f"convergence {name}" not in spans] == []


def yaml_blocks() -> list[Any]:
    return [
        pytest.param(body, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, body in enumerate(blocks(page, "yaml"))
    ]


@pytest.mark.parametrize("body", yaml_blocks())
def test_a_study_file_in_the_docs_loads(body: str, tmp_path: Path) -> None:
    (tmp_path / "evaluator.py").write_text("def score_response(result, expected, params, metric=None):\n    return 1\n")
    for name in ("cases.json", "test_cases.json"):
        (tmp_path / name).write_text('[{"input": {"prompt": "a"}, "expected": "b"}]')
    document = yaml.safe_load(body)
    is_whole = {"api", "search_space", "evaluation"} <= document.keys()
    text = body if is_whole else yaml.safe_dump(merged(SEED, document))

    study = loads(text, directory=tmp_path)

    assert study.cases
    if is_whole and "cases.json" not in body:
        check_study(study)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two documents as one; the second goes first."""
    both = {name: value for name, value in below.items() if name not in above}
    for name, value in above.items():
        under = below.get(name)
        both[name] = merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return both


def test_the_studies_of_the_readme_are_whole() -> None:
    whole = [yaml.safe_load(body).keys() >= {"api", "search_space", "evaluation"} for body in blocks(PAGES[0], "yaml")]

    assert whole == [True, True]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_docs_compiles(page: Path) -> None:
    for body in blocks(page, "python"):
        ast.parse(body)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page: Path) -> None:
    dead = []
    for link in _LINK.findall(_FENCE.sub("", text_of(page))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)

    assert dead == []


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_make_target_named_exists() -> None:
    named = {
        target
        for page in PAGES
        for code in code_of(page)
        for target in re.findall(r"^make ([a-z0-9-]+)", code, re.MULTILINE)
    }
    targets = set(re.findall(r"^([a-z0-9-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))

    assert named >= {"submit", "test"}
    assert named - targets == set()


def test_every_module_and_file_that_a_command_names_exists() -> None:
    code = "\n".join(code for page in PAGES for code in code_of(page))
    modules = set(re.findall(r"python -m ([\w.]+)", code))
    paths = set(re.findall(r"(?<![\w/.])(?:configs|tests|docs|benchmarks)/[\w/.-]+\w", code))

    assert [name for name in modules if find_spec(name) is None] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    read = {
        name
        for path in sorted((ROOT / "convergence_cluster").rglob("*.py"))
        for name in re.findall(r"""["'](CONVERGENCE_[A-Z_]+)["']""", text_of(path))
    }
    settings = set(_VARIABLE.findall(text_of(ROOT / "convergence_cluster" / "settings.py")))
    named = {name for page in PAGES for name in _VARIABLE.findall(text_of(page))}

    assert settings <= read
    assert read == named


@pytest.mark.parametrize(
    "words",
    [
        "unknown key",
        "is not set; expected",
        "expected the name of an environment variable such as OPENAI_API_KEY, not a key itself",
        "nothing bounds what a call of",
        "parameter, or the most that a call may cost in budget.usd_per_call",
        "no price is known for",
        "nothing bounds what scoring costs; give",
        "required by llm_judge and llm-rubric: the endpoint and the model that judges",
        "its reply has no verdict:",
        "outside 0 to 1 (such as",
        "nobody computes this metric; give it a function, or a custom_evaluator",
        "api.polling: required: poll, the request that asks for a job, and done_when, its end",
        "this command needs the cluster's packages; install them with: pip install 'convergence-cluster[cluster]'",
        "PostgreSQL needs its driver; install it with: pip install 'convergence-cluster[postgresql]'",
        "the API refuses every further call:",
        "cannot run it:",
        "has a condition, and is absent where that does not hold",
        "its environment lacks",
        "no complete answer within",
        "No answer: no configuration has a score",
        "truncated",
        "is locked by another process; wait for it, or stop it",
        "cannot grow: the disk is full. Nothing was half-written; free some space and resume",
        "of it is the most that calls lost in a crash can have cost",
        "is being run by",
        "wait for it, stop it, or try again in",
        ", or a file that it names, changed since.",
        "it was not written by this program: start anew (--new)",
        "cost unknown (no price known)",
        "not distinguishable",
        "--fail-if: the answer has no",
        "the results cannot be written to",
        "does not run any more, and was not ended",
        "nobody coordinates the cluster now; it waits for: convergence coordinate",
        "dies again and again; the last it wrote:",
    ],
)
def test_a_message_that_troubleshooting_quotes_is_printed_by_the_code(words: str) -> None:
    page = " ".join(text_of(ROOT / "docs" / "troubleshooting.md").replace("`", "").split())

    assert words in page
    assert any(words in text for text in texts_of_the_code())


@cache
def texts_of_the_code() -> tuple[str, ...]:
    """Return every text that the package may print, with what a template leaves open taken out."""
    texts = []
    for path in sorted((ROOT / "convergence_cluster").rglob("*.py")):
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                constants = [part.value for part in node.values if isinstance(part, ast.Constant)]
                texts.append("".join(str(constant) for constant in constants))
    return tuple(texts)


def test_the_readme_has_a_place_for_the_quickstarts_output() -> None:
    found = re.search(
        r"<!-- quickstart:begin -->\n```text\n(.+?)\n```\n<!-- quickstart:end -->", text_of(PAGES[0]), re.DOTALL
    )

    assert found is not None
    assert "Best config:" in found[1]


@pytest.mark.parametrize(
    ("configuration", "share", "uncut", "worth"),
    [
        ({"model": "sim-medium", "system_prompt": "plain", "max_tokens": 64, "temperature": 0.2}, 0.88, 0.86, 0.35),
        (
            {"model": "sim-reasoner", "system_prompt": "expert", "max_tokens": 160, "reasoning_effort": "low"},
            0.43,
            0.75,
            0.54,
        ),
    ],
)
def test_leaving_out_cut_answers_flatters_as_the_architecture_page_says(
    configuration: dict[str, Any], share: float, uncut: float, worth: float
) -> None:
    quickstart, setting = landscape("quickstart"), setting_of(configuration)
    keys = [(case, repeat) for case in range(quickstart.n_cases) for repeat in range(12)]
    is_cut = [quickstart.respond(setting, case, repeat, 7).is_cut for case, repeat in keys]
    scores = [quickstart.draw(configuration, case, repeat, 7) for case, repeat in keys]
    whole = [score for score, cut in zip(scores, is_cut, strict=True) if not cut]

    assert MODELS[configuration["model"]]
    assert sum(is_cut) / len(keys) == pytest.approx(share, abs=0.01)
    assert sum(whole) / len(whole) == pytest.approx(uncut, abs=0.01)
    assert quickstart.true_score(configuration) == pytest.approx(worth, abs=0.01)
    assert quickstart.ranking()[0][1].score == pytest.approx(0.81, abs=0.01)
