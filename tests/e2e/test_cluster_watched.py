"""What is seen of a cluster that is at work: metrics by a real scrape, Flower in a real browser, the queue's depth."""

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from prometheus_client.parser import text_string_to_metric_families

from convergence_cluster.dispatch.celery_app import PRIORITIES, list_names, unacked_name
from convergence_cluster.machine.place import USER
from tests.machine_cluster import Machine, machine_cluster
from tests.study_runs import ROOT, Server, predecessor_study, serving_llm, wait_until

Samples: TypeAlias = dict[str, dict[tuple[tuple[str, str], ...], float]]
"""By the name of the sample, then by its labels."""
KEY = "sk-canary-5f1c9e"
PROMPT = "canary prompt that nobody may see"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "150", "--seed", "3") as started:
        yield started


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    path = tmp_path_factory.mktemp("watched")
    with machine_cluster(path, "--workers", "1", "--concurrency", "4", CANARY_KEY=KEY) as started:
        yield started


@pytest.fixture(scope="module")
def study(machine: Machine, server: Server) -> Iterator[str]:
    """A study that is at work for the length of this module, more than its worker can carry."""
    document = predecessor_study(server, parallel_workers=16)
    document["api"] |= {"auth": {"type": "bearer", "token_env": "CANARY_KEY"}}
    document["search_space"]["parameters"]["system_prompt"] = [PROMPT]
    machine.folder.write(document | {"budget": {"calls": 20_000}})
    started = machine.folder.run("submit", "study.yaml", "--detach", "--new", "--no-cache").out.strip()
    wait_until(lambda: len(machine.folder.books(study=started).calls) > 20)
    yield started
    machine.folder.run("cancel", started)


def scrape(machine: Machine, process: str) -> Samples:
    """Return what a process answers, by sample and labels."""
    targets = json.loads((machine.place.folder / "prometheus.json").read_text())
    address = next(each["targets"][0] for each in targets if each["labels"]["process"] == process)
    found: Samples = {}
    for family in text_string_to_metric_families(fetch(f"http://{address}/metrics")):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def fetch(url: str, *, login: str | None = None) -> str:
    headers = {} if login is None else {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return str(answer.read().decode())


def documented(process: str) -> set[tuple[str, frozenset[str]]]:
    """Return the metrics that the page names for a kind of process, with their labels."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    rows = re.findall(r"^\| `(convergence_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", page, re.MULTILINE)
    return {(name, frozenset(filter(None, labels.split(",")))) for name, labels, of in rows if of == process}


@pytest.mark.parametrize(("process", "kind"), [("coordinator", "coordinator"), ("worker-1", "worker")])
def test_exactly_the_documented_metrics_are_answered(machine: Machine, study: str, process: str, kind: str) -> None:
    of_studies = set() if kind == "worker" else {"convergence_studies", "convergence_arms_alive"}
    wait_until(lambda: of_studies <= scrape(machine, process).keys())
    samples = scrape(machine, process)
    answered = {
        (re.sub(r"_(bucket|sum|count)$", "", name), frozenset(dict(labels)) - {"le"})
        for name, values in samples.items()
        for labels in values
        if name.startswith("convergence_") and not name.endswith("_created")
    }

    assert answered == documented(kind)


def test_the_coordinators_metrics_agree_with_the_books(machine: Machine, study: str) -> None:
    before = machine.folder.books(study=study)
    wait_until(lambda: is_counted(scrape(machine, "coordinator")))
    samples = scrape(machine, "coordinator")
    after = machine.folder.books(study=study)

    n_calls = sum(samples["convergence_calls_total"].values())
    assert len(before.calls) - 20 <= n_calls <= len(after.calls)
    assert 0.0 < samples["convergence_spend_usd_total"][()] <= after.usd + 1e-9
    assert samples["convergence_leader"][()] == 1.0
    assert samples["convergence_workers"][()] == 1.0
    assert samples["convergence_worker_slots"][()] == 4.0
    assert 0.0 < samples["convergence_desired_slots"][()] <= 16.0
    assert samples["convergence_arms_alive"][(("study", study),)] >= 1.0
    assert samples["convergence_decision_seconds_count"][()] > 0
    assert samples["convergence_calls_in_flight"][()] <= 16.0


def is_counted(samples: Samples) -> bool:
    """Say whether calls have been made and the studies counted, which is done every few seconds."""
    n_running = samples["convergence_studies"][(("state", "running"),)]
    return samples["convergence_calls_total"][(("outcome", "ok"),)] >= 20 and n_running == 1.0


def test_a_workers_metrics_count_its_calls(machine: Machine, study: str) -> None:
    samples = scrape(machine, "worker-1")
    books = machine.folder.books(study=study)

    n_ok = samples["convergence_worker_calls_total"][(("outcome", "ok"),)]
    assert 0 < n_ok <= len(books.calls) + 16
    assert 0.0 <= samples["convergence_worker_calls_in_flight"][()] <= 4.0
    assert set(samples["convergence_breaker_open"].values()) == {0.0}


def test_the_queues_depth_is_what_redis_holds_with_what_is_in_flight(machine: Machine, study: str) -> None:
    """No worker: nothing moves, and 16 calls wait; one task is then put where a worker's unfinished ones are."""
    names = list_names("trials")
    assert machine.folder.run("up", "--workers", "0").code == 0
    with machine.client() as client:
        wait_until(lambda: client.hlen(unacked_name("trials")) == 0 and client.llen(names[1]) > 0)
        message = client.rpop(names[1])
        client.hset(unacked_name("trials"), "a-worker-has-it", message)
        try:
            held = {name: client.llen(key) for name, key in zip(PRIORITIES, names, strict=True)}
            wait_until(lambda: depths(machine) == {**held, "unacked": 1})
            shown = json.loads(fetch(f"{machine.state.flower_url}/api/queues/length", login=login(machine)))
            said = machine.folder.run("status").out
        finally:
            client.hdel(unacked_name("trials"), "a-worker-has-it")
            client.rpush(names[1], message)
    assert machine.folder.run("up", "--workers", "1").code == 0

    assert sum(held.values()) > 0
    assert [queue["messages"] for queue in shown["active_queues"] if queue["name"] == "trials"] == [sum(held.values())]
    assert f"{sum(held.values())} tasks waiting ({held['normal']} normal), 1 in workers' hands" in said


def depths(machine: Machine) -> Mapping[str, int]:
    samples = scrape(machine, "coordinator")
    found = {dict(labels)["priority"]: int(n) for labels, n in samples.get("convergence_queue_depth", {}).items()}
    return {**found, "unacked": int(samples.get("convergence_tasks_unacked", {}).get((), -1))}


def login(machine: Machine) -> str:
    return f"{USER}:{machine.kept.flower_password}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CONVERGENCE_TEST_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        assert os.environ.get("CI") != "true", "a browser is expected; set CONVERGENCE_TEST_BROWSER"
        pytest.skip("no browser; set CONVERGENCE_TEST_BROWSER")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--disable-gpu", "--disable-dev-shm-usage"], chromium_sandbox=False
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, machine: Machine, study: str) -> Iterator[Page]:
    credentials: Any = {"username": USER, "password": machine.kept.flower_password}
    context = browser.new_context(http_credentials=credentials, viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    yield opened
    context.close()


def shot(page: Page, name: str) -> None:
    folder = os.environ.get("CONVERGENCE_TEST_SHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("path", ["/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks"])
def test_flower_shows_nothing_without_the_password(machine: Machine, path: str) -> None:
    for wrong in (None, f"{USER}:guessed"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(f"{machine.state.flower_url}{path}", login=wrong)


def test_flower_does_nothing_to_the_cluster(machine: Machine) -> None:
    for path in ("/api/worker/shutdown/worker-1", "/api/task/send-task/convergence.run_calls"):
        request = urllib.request.Request(f"{machine.state.flower_url}{path}", data=b"{}", method="POST")
        request.add_header("Authorization", f"Basic {b64encode(login(machine).encode()).decode()}")
        with pytest.raises(urllib.error.HTTPError, match=r"403|405"):
            urllib.request.urlopen(request, timeout=20)


def test_flower_lists_tasks_by_study_arm_and_attempt(machine: Machine, study: str, page: Page) -> None:
    page.goto(f"{machine.state.flower_url}/tasks")
    page.wait_for_selector(f"text=/arm=\\d+\\S* attempt=1 calls=\\d+ study={study}/")
    shot(page, "tasks")

    text = page.inner_text("body")
    assert "worker-1@" in text
    assert "SUCCESS" in text


def test_flower_shows_workers_with_their_queues(machine: Machine, study: str, page: Page) -> None:
    page.goto(f"{machine.state.flower_url}/workers")
    page.wait_for_selector("text=worker-1@")
    shot(page, "workers")
    page.click("text=worker-1@")
    page.click("text=Queues")
    page.wait_for_selector("#tab-queues td:text-is('trials')")
    shot(page, "worker")
    page.goto(f"{machine.state.flower_url}/broker")
    page.wait_for_selector("td:has-text('trials')")
    shot(page, "broker")


def test_flower_shows_no_prompt_and_no_key(machine: Machine, study: str, page: Page) -> None:
    page.goto(f"{machine.state.flower_url}/tasks")
    page.wait_for_selector("tbody a[href*='/task/']")
    page.click("tbody a[href*='/task/'] >> nth=0")
    page.wait_for_load_state("networkidle")
    shot(page, "task")
    everything = page.content() + fetch(f"{machine.state.flower_url}/api/tasks", login=login(machine))

    assert study in everything
    for secret in (KEY, PROMPT, "canary", machine.kept.redis_password):
        assert secret not in everything
