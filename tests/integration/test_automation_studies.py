"""The shipped studies of web automation and of jobs: they run against servers that work as their references say."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from convergence_cluster.api import StudyResult, optimize
from tests.automation_server import Automation, automation_server
from tests.browsers import debugged_browser
from tests.contracts.job_server import job_server

CONFIGS = Path(__file__).parents[2] / "configs"
KEY = "sk-study-canary-5f1e"
PAGES = {case["input"]["url"]: case["expected"] for case in json.loads((CONFIGS / "pages/cases.json").read_text())}


@pytest.fixture
def server() -> Iterator[Automation]:
    with automation_server() as running:
        yield running


def run(folder: Path, name: str, *, n_calls: int, cases: Any = None, **api: Any) -> StudyResult:
    study = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    study["budget"]["calls"] = n_calls
    study["api"].pop("rate", None)
    study["api"].update(api)
    study["output"] = {"save_path": "results"}
    for beside in ("pages", "job"):
        (folder / beside).symlink_to(CONFIGS / beside)
    if cases is not None:
        study["evaluation"]["test_cases"] = cases
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    result = optimize(folder / "study.yaml")
    written = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    return result


def test_the_firecrawl_study_finds_the_settings_that_read_pages_well(
    server: Automation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text_of(url: str, settings: Mapping[str, Any]) -> str:
        return PAGES[url] if settings["onlyMainContent"] else "menu"

    server.text_of = text_of
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRECRAWL_API_KEY", KEY)
    monkeypatch.setenv("FIRECRAWL_API_URL", server.url)

    result = run(tmp_path, "firecrawl", n_calls=80)

    assert result.best_config is not None
    assert result.best_config["only_main_content"] is True
    assert result.spent_usd == pytest.approx(0.00083 * sum(5 for _ in server.seen), rel=1e-6)


def test_the_apify_study_finds_the_settings_that_read_pages_well(
    server: Automation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text_of(url: str, settings: Mapping[str, Any]) -> str:
        return "" if settings["crawlerType"] == "cheerio" else PAGES[url]

    server.text_of = text_of
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APIFY_TOKEN", KEY)
    monkeypatch.setenv("APIFY_API_URL", server.url)

    result = run(tmp_path, "apify", n_calls=24, polling={"interval_seconds": 0.01, "timeout_seconds": 20})

    assert result.best_config is not None
    assert result.best_config["crawlerType"] != "cheerio"
    runs = [seen for seen in server.seen if seen.path.endswith("/runs")]
    assert len(runs) == result.n_calls
    assert {seen.query["maxTotalChargeUsd"] for seen in runs} == {"0.02"}
    assert result.spent_usd == pytest.approx(0.0042 * len(runs))


def test_the_browserbase_study_visits_pages_and_leaves_no_session_open(
    server: Automation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.html").write_text("<h1>Example Domain</h1>")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROWSERBASE_API_KEY", KEY)
    monkeypatch.setenv("BROWSERBASE_API_URL", server.url)
    page = (tmp_path / "shop.html").as_uri()
    cases = [{"id": str(n), "input": {"url": f"{page}?{n}"}, "expected": "Example Domain"} for n in range(2)]

    with debugged_browser(tmp_path / "profile") as address:
        server.connect_url = address
        result = run(tmp_path, "browserbase", n_calls=8, cases=cases)

    assert result.best_config is not None
    assert result.best_config["region"] in {"us-west-2", "us-east-1", "eu-central-1"}
    assert result.report.recommendation.best is not None
    assert (result.n_calls, server.n_open) == (8, 0)
    assert result.spent_usd == pytest.approx(8 * (1.5 * 0.002 + 0.002 * 12))


def test_the_job_study_runs_every_job_to_its_end_and_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job_server() as jobs:
        jobs.result = {"text": "fox box zebras quartz", "seconds": 1.5}
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CONVERTER_KEY", KEY)
        monkeypatch.setenv("CONVERTER_URL", jobs.url)
        study = yaml.safe_load((CONFIGS / "http-job.yaml").read_text())
        polling = {**study["api"]["polling"], "interval_seconds": 0.01}

        result = run(tmp_path, "http-job", n_calls=20, polling=polling)

    done = jobs.requests()
    n_submitted = done.count("POST /jobs")
    assert (n_submitted, result.n_calls) == (20, 20)
    assert sum(request.startswith("DELETE") for request in done) == n_submitted
    assert result.spent_usd == pytest.approx(20 * 0.00015)
