"""What an import could not carry over, or carried over otherwise, with where it stands."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.assertions import FILE
from convergence_cluster.spec.document import Document
from convergence_cluster.spec.files import read_rows, read_text
from convergence_cluster.spec.problems import InvalidStudyError

Place: TypeAlias = tuple[str | int, ...]
"""A path in a promptfoo file."""


class Remarks:
    """Collects one line each."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._lines: dict[str, int] = {}

    def add(self, place: Place, message: str) -> None:
        """Note something at a place of the promptfoo file."""
        problem = self._document.problem(place, message)
        self._lines.setdefault(str(problem), problem.line)

    def lines(self) -> tuple[str, ...]:
        """Return every remark, in the order of the file."""
        return tuple(sorted(self._lines, key=lambda text: self._lines[text]))

    def unknown(self, given: Mapping[str, Json], known: Sequence[str], place: Place) -> None:
        """Note every key that nothing is made of."""
        for key in given:
            if key not in known:
                self.add((*place, key), "not carried over")


class Source:
    """A promptfoo configuration with the folder that its files are relative to."""

    def __init__(self, document: Document, folder: Path) -> None:
        self.document = document
        self.folder = folder
        self.remarks = Remarks(document)
        root = document.value
        self.root: Mapping[str, Json] = root if isinstance(root, Mapping) else {}

    def resolved(self, value: Json) -> Json:
        """Return a value, or what its local `$ref` points at."""
        if not isinstance(value, Mapping) or not isinstance(value.get("$ref"), str):
            return value
        found: Json = self.root
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found.get(part) if isinstance(found, Mapping) else None
        return value if found is None else found

    def paths(self, name: str, place: Place) -> list[Path]:
        """Return the files that `file://NAME` or a pattern means; none, with a remark, where there are none."""
        pattern = name.removeprefix(FILE)
        try:
            found = sorted(self.folder.glob(pattern)) if not Path(pattern).is_absolute() else [Path(pattern)]
        except (ValueError, OSError):
            found = []
        if not found:
            self.remarks.add(place, f"{name}: no such file; not carried over")
        return found

    def text(self, path: Path, place: Place) -> str | None:
        """Return a file's text, or None with a remark."""
        try:
            return read_text(path, path.name)
        except InvalidStudyError as error:
            self.remarks.add(place, f"{error}; not carried over")
            return None

    def rows(self, path: Path, place: Place) -> Iterator[Json]:
        """Yield the entries of a list or table in a file; none, with a remark, where it cannot be read."""
        try:
            found = read_rows(path, path.name)
        except InvalidStudyError as error:
            self.remarks.add(place, f"{error}; not carried over")
            return
        if isinstance(found, Document):
            yield from found.value if isinstance(found.value, list) else [found.value]
        else:
            yield from (row for _, row in found)
