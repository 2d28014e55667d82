"""promptfoo's tests as test cases: variables are the input, lists of values become a case each."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.assertions import FILE, SET
from convergence_cluster.spec.promptfoo_asserts import AssertImport
from convergence_cluster.spec.promptfoo_remarks import Place, Source

_KNOWN: Final = ("vars", "assert", "threshold", "description", "metadata", "options")
_TABLE: Final = "__"


class TestImport:
    """Reads tests; what every test asserts is read apart."""

    __test__ = False

    def __init__(self, source: Source, asserts: AssertImport) -> None:
        self._source = source
        self._asserts = asserts
        default = source.resolved(source.root.get("defaultTest"))
        self.default: Mapping[str, Json] = default if isinstance(default, Mapping) else {}
        if isinstance(default, str):
            loaded = [row for path in source.paths(default, ("defaultTest",)) for row in source.rows(path, ())]
            self.default = next((row for row in loaded if isinstance(row, Mapping)), {})

    def defaults(self) -> list[dict[str, Json]]:
        """Return what every test asserts."""
        self._source.remarks.unknown(self.default, _KNOWN, ("defaultTest",))
        self._options(self.default, ("defaultTest",))
        return self._asserts.read(self.default.get("assert"), ("defaultTest", "assert"))

    def cases(self) -> list[dict[str, Json]]:
        """Return the test cases, one for each combination of values."""
        given = self._source.root.get("tests")
        entries = given if isinstance(given, list) else [] if given is None else [given]
        cases = []
        for index, entry in enumerate(entries):
            place: Place = ("tests", index) if isinstance(given, list) else ("tests",)
            for test in self._tests(self._source.resolved(entry), place):
                cases += list(self._expanded(test, place))
        if not cases and isinstance(self.default.get("vars"), Mapping):
            cases += list(self._expanded({}, ("defaultTest",)))
        return cases

    def _tests(self, entry: Json, place: Place) -> Iterator[Mapping[str, Json]]:
        if isinstance(entry, Mapping) and isinstance(entry.get("path"), str):
            entry = entry["path"]
        if isinstance(entry, str):
            if entry.startswith(("http:", "https:", "huggingface:")) or entry.endswith((".js", ".ts", ".py", ".mjs")):
                self._source.remarks.add(place, f"{entry}: save its tests as CSV, JSON or YAML; not carried over")
                return
            for path in self._source.paths(entry, place):
                is_table = path.suffix.lower() in {".csv", ".tsv"}
                for row in self._source.rows(path, place):
                    if isinstance(row, Mapping):
                        yield self._from_table(row, place) if is_table else row
        elif isinstance(entry, Mapping):
            yield entry

    def _from_table(self, row: Mapping[str, Json], place: Place) -> Mapping[str, Json]:
        names = {"description": "description", "threshold": "threshold"}
        test: dict[str, Json] = {"vars": {k: v for k, v in row.items() if not k.startswith(_TABLE)}}
        asserts = []
        for column, cell in row.items():
            own = column.removeprefix(_TABLE)
            if column == own:
                continue
            if own.startswith("expected"):
                asserts += self._asserts.from_cell(str(cell), place)
            elif own in names:
                test[names[own]] = float(cell) if own == "threshold" else cell
            elif own == "metric":
                test["__metric"] = cell
            else:
                self._source.remarks.add(place, f"column {column}: not carried over")
        metric = test.pop("__metric", None)
        return {**test, "assert": [{**each, "metric": metric} if metric else each for each in asserts]}

    def _expanded(self, test: Mapping[str, Json], place: Place) -> Iterator[dict[str, Json]]:
        self._source.remarks.unknown(test, _KNOWN, place)
        self._options(test, place)
        own, common = test.get("vars"), self.default.get("vars")
        given = {
            **(common if isinstance(common, Mapping) else {}),
            **(own if isinstance(own, Mapping) else {}),
        }
        if not given:
            self._source.remarks.add(place, "a test without vars; its input is {test: 1}")
            given = {"test": 1}
        asserts = self._asserts.read(test.get("assert"), (*place, "assert"))
        threshold = test.get("threshold", self.default.get("threshold"))
        if threshold is not None and asserts:
            asserts = [{"type": SET, "threshold": threshold, "assert": asserts}]
        is_expanded = not any(_option(each, "disableVarExpansion") for each in (test, self.default))
        values = [self._values(value, (*place, "vars", name), is_expanded=is_expanded) for name, value in given.items()]
        for chosen in product(*values):
            case: dict[str, Json] = {"input": dict(zip(given, chosen, strict=True))}
            if isinstance(test.get("description"), str):
                case["description"] = test["description"]
            if isinstance(test.get("metadata"), Mapping):
                case["metadata"] = dict(test["metadata"])
            yield {**case, "assert": asserts} if asserts else case

    def _values(self, value: Json, place: Place, *, is_expanded: bool) -> list[Json]:
        """Return what a variable may be: a list of texts stands for each of them."""
        found = []
        is_choice = is_expanded and isinstance(value, list) and bool(value) and isinstance(value[0], str)
        for item in value if is_choice else [value]:
            if not isinstance(item, str) or not item.startswith(FILE):
                found.append(item)
            elif item.endswith((".js", ".py", ".ts", ".pdf")):
                self._source.remarks.add(place, f"{item}: not run; kept as a text")
                found.append(item)
            else:
                texts = [self._source.text(path, place) for path in self._source.paths(item, place)]
                found += [text.strip() for text in texts if text is not None]
        return found or [""]

    def _options(self, test: Mapping[str, Json], place: Place) -> None:
        options = test.get("options")
        for key in options if isinstance(options, Mapping) else ():
            if key not in {"provider", "disableVarExpansion"}:
                self._source.remarks.add((*place, "options", key), "not carried over")


def _option(test: Mapping[str, Json], name: str) -> Json:
    options = test.get("options")
    return options.get(name) if isinstance(options, Mapping) else None
