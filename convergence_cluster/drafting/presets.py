"""The studies that are shipped, as a start for one's own: the same files, with the user's wishes in their places."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.drafting.evaluators import evaluator_text
from convergence_cluster.drafting.wishes import CALLS, USD, WORKERS, Wishes, weights_of
from convergence_cluster.drafting.writing import Draft, scalar

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
"""Within an installed package, and in the source tree."""
_FIRST = ("openai", "anthropic", "gemini", "azure", "groq", "mistral", "together", "openrouter", "ollama", "vllm")
_LAST = ("quickstart", "compress")
_OF_CHAT = ("choices", "message", "content")
_OF_RESPONSES = ("output", "content", "text")
_RESULTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("openai", "azure", "groq", "together", "mistral", "openrouter", "ollama", "vllm"), _OF_CHAT),
    "openai-responses": _OF_RESPONSES,
    "anthropic": ("content", "text"),
    "gemini": ("candidates", "content", "parts", "text"),
}
"""Keys on the way to the text, by provider. The answers of others are scored as the shipped study does."""
_FUNCTIONS = frozenset({"http", "python"})
_KEY = re.compile(r"(token_env: )(\w+)")
_MODELS = re.compile(r"^(    model: )\[(.*)\]", re.MULTILINE)
_CONTAINS = re.compile(r"^    quality: \{weight: ([\d.]+), type: higher_is_better, function: contains\}", re.MULTILINE)
_BY_EVALUATOR = r"    quality: {weight: \1, type: higher_is_better, function: custom}  # by evaluator.py"
_WEIGHT = re.compile(r"^    (\w+): \{weight: [\d.]+", re.MULTILINE)
_BUDGET = re.compile(r"^budget: \{.*\}", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """One shipped study."""

    name: str
    text: str
    folder: Path

    @property
    def what(self) -> str:
        """Where its calls go and what it searches, in a line."""
        address = self.endpoint or ""
        host, variable = re.search(r"https?://([^/:}]+)", address), re.match(r"\$\{(\w+)\}", address)
        if re.search(r"^  function: ", self.text, re.MULTILINE):
            where = "a Python function of yours"
        elif host:
            where = "a server of your own" if host[1] == "localhost" else host[1]
        elif self.endpoint is None:
            where = "one URL a model"
        else:
            where = f"the host in {variable[1]}" if variable else "a simulation on this machine, no key"
        block = re.search(r"^  parameters:[^\n]*\n((?:    .*\n|\n)+)", self.text, re.MULTILINE)
        names = re.findall(r"^    (\w+):", block[1], re.MULTILINE) if block else []
        return f"{where}: {', '.join(names)}"

    @property
    def key_env(self) -> str | None:
        """The variable that holds the key; None: there is none."""
        found = _KEY.search(re.sub(r"^\s*#.*$|  #.*$", "", self.text, flags=re.MULTILINE))
        return None if found is None else found[2]

    @property
    def endpoint(self) -> str | None:
        """The endpoint as the file writes it; None: one for each model."""
        found = re.search(r"^  endpoint: (.+?)(?:  #.*)?$", self.text, re.MULTILINE)
        return None if found is None else found[1].strip('"')

    @property
    def url(self) -> str | None:
        """The endpoint as a person writes it: a variable's default in place of the variable."""
        return self.endpoint and re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", self.endpoint)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it compares, where they can be exchanged for others."""
        found = _MODELS.search(self.text)
        if (
            found is None
            or "when: {model:" in self.text
            or re.search(r"^  (?:models|prices):", self.text, re.MULTILINE)
        ):
            return ()
        return tuple(word.strip().strip('"') for word in found[2].split(","))

    @property
    def wishes(self) -> Wishes:
        """What it says itself of money, calls and workers."""
        numbers = {
            name: re.search(rf"\b{key}: ([\d.]+)", self.text)
            for name, key in (("usd", "usd"), ("calls", "calls"), ("workers", "parallel_workers"))
        }
        given = {name: float(match[1]) for name, match in numbers.items() if match}
        return Wishes(
            name=self.name,
            usd=given.get("usd", USD),
            calls=int(given.get("calls", CALLS)),
            workers=int(given.get("workers", WORKERS)),
        )

    @property
    def has_usd(self) -> bool:
        """Whether its calls cost money that can be capped."""
        return re.search(r"^budget: \{usd:", self.text, re.MULTILINE) is not None


def presets() -> tuple[Preset, ...]:
    """Return every shipped study, the best known first."""
    folder = next((each for each in _FOLDERS if each.is_dir()), None)
    if folder is None:
        raise SpecError("the shipped studies are not installed with this package; install it again")
    paths = [path for path in folder.glob("*.yaml") if path.is_file()]
    found = {path.stem: Preset(name=path.stem, text=path.read_text("utf-8"), folder=folder) for path in paths}
    ordered = [*(name for name in _FIRST if name in found), *sorted(found.keys() - {*_FIRST, *_LAST}), *_LAST]
    return tuple(found[name] for name in ordered if name in found)


def preset(name: str) -> Preset:
    """Return a shipped study.

    Raises:
        SpecError: there is none of this name; the message lists them.
    """
    known = presets()
    for each in known:
        if each.name == name:
            return each
    raise SpecError(f"--preset {name!r}: expected one of {', '.join(each.name for each in known)}")


def draft_preset(found: Preset, wishes: Wishes) -> Draft:
    """Return a shipped study as the user wishes it, with all the files that it names."""
    folders = [path for path in sorted(found.folder.iterdir()) if path.is_dir() and _named(path).search(found.text)]
    files = dict(_files(folders))
    text = found.text
    for folder in folders:
        text = _named(folder).sub("", text)
    text = re.sub(r"(?<![\w./])cases\.json\b", "test_cases.json", text)
    text = _personal(found, text, wishes)
    path = _result_path(found)
    if path is not None and _CONTAINS.search(text) and "evaluator.py" not in files:
        text = _CONTAINS.sub(_BY_EVALUATOR, text)
        text = re.sub(r"^evaluation:\n", _CUSTOM, text, count=1, flags=re.MULTILINE)
        files["evaluator.py"] = evaluator_text(path)
    key = wishes.key_env or found.key_env
    return Draft(
        files={"study.yaml": text, **files},
        variables=tuple(dict.fromkeys([*_needed(found, wishes), *([key] if key else [])])),
        advice=("test_cases.json holds the cases of the example: put 20 or more of your own in their place",),
    )


_CUSTOM = "evaluation:\n  custom_evaluator: {module: evaluator, function: score_response}\n"


def _result_path(found: Preset) -> tuple[str, ...] | None:
    """Return the keys on the way to the result in an answer's body, or None where the file does not say."""
    provider = re.search(r"^  provider: ([\w-]+)", found.text, re.MULTILINE)
    kind = provider[1] if provider else "python"
    if kind in _RESULTS:
        return _OF_RESPONSES if "/responses" in (found.endpoint or "") else _RESULTS[kind]
    field = re.search(r"\bresult_field: (\w+)\s*(?:#.*)?$", found.text, re.MULTILINE)
    return (field[1],) if field and kind in _FUNCTIONS else None


def _named(folder: Path) -> re.Pattern[str]:
    """Return what finds the folder at the start of a path, not within one or within a URL."""
    return re.compile(rf"(?<![\w./-]){re.escape(folder.name)}/(?=[\w*])")


def _files(folders: list[Path]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(folder).as_posix()
                yield ("test_cases.json" if name == "cases.json" else name), path.read_text("utf-8")


def _personal(found: Preset, text: str, wishes: Wishes) -> str:
    """Return a study's text with the user's wishes in place of what it says itself."""
    text = re.sub(r"^(  name: ).*$", rf"\g<1>{scalar(wishes.name)}", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"\./results/[\w-]+", f"./results/{wishes.name}", text)
    if wishes.endpoint:
        endpoint = f"  endpoint: {scalar(wishes.endpoint)}"
        text = re.sub(r"^  endpoint: .+$", lambda _: endpoint, text, count=1, flags=re.MULTILINE)
    if wishes.key_env and found.key_env:
        text = re.sub(rf"\b{found.key_env}\b", wishes.key_env, text)
    if wishes.key_env and not found.key_env:
        auth = f"  auth: {{type: bearer, token_env: {wishes.key_env}}}"
        text = re.sub(r"^  auth: \{type: none\}.*$", auth, text, count=1, flags=re.MULTILINE)
    if wishes.models and found.models:
        text = _MODELS.sub(lambda match: match[1] + scalar(list(wishes.models)), text, count=1)
        old = re.escape(found.models[0]) if found.models else ""
        names = "|".join(re.escape(name) for name in found.models) or old
        text = re.sub(rf'(baseline:\s*\{{?\s*model: )"?(?:{names})"?', lambda m: m[1] + scalar(wishes.models[0]), text)
    if wishes.goal != "balanced":
        text = _weighed(text, wishes.goal)
    text = _BUDGET.sub(lambda match: _budget(match[0], wishes), text)
    text = re.sub(r"(; at most )one dollar", rf"\g<1>{wishes.usd:g} USD", text)
    return re.sub(r"(parallel_workers: )\d+", rf"\g<1>{wishes.workers}", text)


def _budget(line: str, wishes: Wishes) -> str:
    line = re.sub(r"\busd: [\d.]+", f"usd: {wishes.usd:g}", line)
    return re.sub(r"\bcalls: \d+", f"calls: {wishes.calls}", line)


def _weighed(text: str, goal: str) -> str:
    """Return a study's text with the weights of a goal; what is neither latency nor cost shares that of quality."""
    quality, latency, cost = weights_of(goal)
    others = [name for name in _WEIGHT.findall(text) if name not in {"latency_ms", "cost_usd"}]
    weights = {"latency_ms": latency, "cost_usd": cost} | dict.fromkeys(others, quality / max(1, len(others)))
    return _WEIGHT.sub(lambda match: f"    {match[1]}: {{weight: {weights[match[1]]:g}", text)


def _needed(found: Preset, wishes: Wishes) -> list[str]:
    """Return the variables without default in a preset's endpoints."""
    text = found.text if wishes.endpoint is None else re.sub(r"^  endpoint: .+$", "", found.text, flags=re.MULTILINE)
    plain = re.sub(r"^\s*#.*$|  #.*$", "", text, flags=re.MULTILINE)
    return re.findall(r"\$\{(\w+)\}", plain)
