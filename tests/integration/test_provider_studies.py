"""The shipped study of every provider: it loads, its models have prices, and it runs against its wire format."""

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from convergence_cluster.api import optimize
from convergence_cluster.bootstrap.runner import build_prices
from convergence_cluster.cli import main
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.spec.loading import load_study

CONFIGS = Path(__file__).parents[2] / "configs"
HOSTED = {
    "openai": ("OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY"),
    "predecessor": ("OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY"),
    "openai-responses": ("OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY"),
    "azure": ("AZURE_OPENAI_ENDPOINT", "", "AZURE_OPENAI_API_KEY"),
    "azure-reasoning": ("AZURE_OPENAI_ENDPOINT", "", "AZURE_OPENAI_API_KEY"),
    "anthropic": ("ANTHROPIC_BASE_URL", "", "ANTHROPIC_API_KEY"),
    "gemini": ("GEMINI_BASE_URL", "/v1beta", "GEMINI_API_KEY"),
    "groq": ("GROQ_BASE_URL", "/openai/v1", "GROQ_API_KEY"),
    "together": ("TOGETHER_BASE_URL", "/v1", "TOGETHER_API_KEY"),
    "mistral": ("MISTRAL_BASE_URL", "/v1", "MISTRAL_API_KEY"),
    "openrouter": ("OPENROUTER_BASE_URL", "/api/v1", "OPENROUTER_API_KEY"),
}
LOCAL = {"ollama": ("OLLAMA_BASE_URL", "", ""), "vllm": ("VLLM_BASE_URL", "", "")}
KEY = "sk-study-canary-5f1e"
EXPECTED = {
    case["input"]["question"]: case["expected"] for case in json.loads((CONFIGS / "chat/cases.json").read_text())
}
EXPECTED |= {
    case["input"]["messages"][0]["content"]: case["expected"]["answer"]
    for case in json.loads((CONFIGS / "predecessor/cases.json").read_text())["test_cases"]
}


class Handler(BaseHTTPRequestHandler):
    """Answers each format at its own path, right with a cool head and wrong with a hot one."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, Mapping[str, str], Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        text = json.dumps(body)
        right = next(answer for question, answer in EXPECTED.items() if question in text)
        temperature = body.get("generationConfig", body).get("temperature", 0.0)
        document = json.dumps(answer_at(self.path, right if temperature < 0.9 else "no idea")).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface of http.server
        pass


def answer_at(path: str, text: str) -> Any:
    path = path.partition("?")[0]
    if path.endswith("/messages"):
        usage = {"input_tokens": 90, "output_tokens": 3, "cache_read_input_tokens": 10}
        return {
            "type": "message",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": usage,
        }
    if path.endswith(":generateContent"):
        usage = {"promptTokenCount": 100, "candidatesTokenCount": 3}
        return {
            "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
            "usageMetadata": usage,
        }
    usage = {"input_tokens": 100, "output_tokens": 3}
    if path.endswith("/responses"):
        message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
        return {"status": "completed", "output": [message], "usage": usage}
    assert path.endswith("/chat/completions"), path
    usage = {"prompt_tokens": 100, "completion_tokens": 3}
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage}


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("name", HOSTED)
def test_every_model_of_a_shipped_study_has_a_price(name: str) -> None:
    study = load_study(CONFIGS / f"{name}.yaml")
    environ = {"AZURE_OPENAI_ENDPOINT": "https://name.openai.azure.com"}
    prices = build_prices(study, environ=environ, clock=SystemClock())
    (models,) = (parameter.values for parameter in study.space.parameters if parameter.name == "model")

    bounds = {str(m): prices.upper_bound(model=str(m), n_input_chars=500, max_output_tokens=32) for m in models}

    assert all(bound is not None and bound > 0.0 for bound in bounds.values()), bounds


@pytest.mark.parametrize("name", HOSTED | LOCAL)
def test_a_shipped_study_runs_against_its_wire_format(
    name: str, server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, path, key = (HOSTED | LOCAL)[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{server.server_port}{path}")
    if key:
        monkeypatch.setenv(key, KEY)
    study = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    study["budget"] = {"calls": 60, "usd": 1.0}
    study["api"].setdefault("prices", {"*": {"input_per_million_usd": 1.0, "output_per_million_usd": 4.0}})
    study["api"].pop("rate", None)
    for folder in ("chat", "predecessor"):
        (tmp_path / folder).symlink_to(CONFIGS / folder)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))

    result = optimize(tmp_path / "study.yaml")

    assert result.best_config is not None
    assert 0 < result.n_calls <= 60
    assert len(Handler.seen) == result.n_calls
    assert result.best_config.get("temperature", 0.0) < 0.9
    assert result.spent_usd is not None
    assert result.spent_usd > 0.0
    told = [value for _, headers, _ in Handler.seen for value in headers.values() if KEY in value]
    assert len(told) == (result.n_calls if key else 0)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", [*HOSTED, *LOCAL, "azure-reasoning"])
def test_what_init_makes_of_it_runs_and_its_evaluator_finds_the_answers(
    name: str, server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, path, key = (HOSTED | LOCAL | {"azure-reasoning": HOSTED["azure"]})[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{server.server_port}{path}")
    monkeypatch.setenv("TRIAL_KEY", KEY)
    words = ["--key-env", "TRIAL_KEY"] if key else []

    code = main(["init", "--yes", "--preset", name, "-o", "own", "--calls", "24", "--workers", "8", *words])
    study = yaml.safe_load(Path("own/study.yaml").read_text())
    study["api"].setdefault("prices", {"*": {"input_per_million_usd": 1.0, "output_per_million_usd": 4.0}})
    study["api"].pop("rate", None)
    Path("own/study.yaml").write_text(yaml.safe_dump(study))
    result = optimize("own/study.yaml", writes_files=False)

    qualities = [call.outcome.metrics.get("quality") for call in result.report.calls]
    best, baseline = result.report.recommendation.best, result.report.recommendation.baseline
    assert best is not None
    assert baseline is not None
    assert code == 0
    assert "evaluator.py" in {path.name for path in Path("own").iterdir()}
    n_compared = 4 if best.arm != baseline.arm else 0  # nothing is compared with itself
    assert len(Handler.seen) == 20 + n_compared
    assert 1.0 in qualities
    assert None not in qualities
    if name not in {"azure-reasoning", "openai-responses", "mistral", "predecessor"}:  # their first calls are cool
        assert 0.0 in qualities
