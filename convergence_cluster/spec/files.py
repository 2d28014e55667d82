"""Reading the files beside a study: once, bounded, with one line for what is wrong."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.document import MAX_BYTES, Document, decode, parse, parse_json_line
from convergence_cluster.spec.problems import Problem, nearest, raise_all

Row = tuple[int, Json]
"""Line number in its file, and the value."""

_DELIMITERS: Final = ",;\t"
_SHORT_ROW: Final = "leave the cell empty where a row has no value"
_ROW_SUFFIXES: Final = {".csv", ".tsv", ".jsonl", ".ndjson"}
_DOCUMENT_SUFFIXES: Final = {".json", ".yaml", ".yml"}


def read_text(path: Path, name: str) -> str:
    """Return the text of a file; messages call it `name`.

    Raises:
        SpecError: no such file, not readable, too large, or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            return decode(stream.read(MAX_BYTES + 1), name)
    except FileNotFoundError:
        raise_all([Problem(path=(), file=name, message=f"no such file{_neighbour(path)}")])
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise_all([Problem(path=(), file=name, message=f"can't be read: {reason}")])
        raise


def read_document(path: Path, name: str) -> Document:
    """Return a parsed YAML or JSON file.

    Raises:
        SpecError: as `read_text`; not well-formed; another suffix.
    """
    if path.suffix.lower() not in _DOCUMENT_SUFFIXES:
        message = f"{path.suffix or 'no suffix'}: expected a file ending in .yaml, .yml or .json"
        raise_all([Problem(path=(), file=name, message=message)])
    return parse(read_text(path, name), name)


def read_value(path: Path, name: str) -> Json:
    """Return what a JSON or YAML file holds, or the text of any other.

    Raises:
        SpecError: as `read_text`; not well-formed.
    """
    if path.suffix.lower() in _DOCUMENT_SUFFIXES:
        return read_document(path, name).value
    return read_text(path, name)


def read_rows(path: Path, name: str) -> Document | list[Row]:
    """Return a table's rows (JSONL, CSV, TSV), or the document that a JSON or YAML file is.

    Raises:
        SpecError: as `read_text`; not well-formed; another suffix.
    """
    suffix = path.suffix.lower()
    if suffix in _DOCUMENT_SUFFIXES:
        return read_document(path, name)
    if suffix not in _ROW_SUFFIXES:
        message = f"{path.suffix or 'no suffix'}: expected a file ending in .json, .jsonl, .csv, .tsv, .yaml or .yml"
        raise_all([Problem(path=(), file=name, message=message)])
    text = read_text(path, name)
    return list(_json_lines(text, name) if suffix in {".jsonl", ".ndjson"} else _table(text, name))


def _json_lines(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, parse_json_line(line, name, number)


def _table(text: str, name: str) -> Iterator[Row]:
    header_line = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(header, name)
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(header):
                    cure = f"quote cells that contain {delimiter!r}" if len(cells) > len(header) else _SHORT_ROW
                    message = f"{_counted(len(cells))} under {len(header)} columns; {cure}"
                    raise_all([Problem(path=(), file=name, line=line, message=message)])
                yield line, {column: cell for column, cell in zip(header, cells, strict=True) if cell != ""}
            line = reader.line_num + 1
    except csv.Error as error:
        raise_all([Problem(path=(), file=name, line=line, message=f"not valid CSV: {error}")])


def _counted(n_cells: int) -> str:
    return "1 cell" if n_cells == 1 else f"{n_cells} cells"


def _check_header(header: list[str], name: str) -> None:
    if not any(header):
        raise_all([Problem(path=(), file=name, line=1, message="the file is empty; expected a line of column names")])
    for column in header:
        if header.count(column) > 1 or not column:
            message = f"column {column!r} stands twice" if column else "a column without a name"
            raise_all([Problem(path=(), file=name, line=1, message=message)])


def cell_value(cell: str) -> Json:
    """Return a cell of a table: lists and objects in JSON as such, anything else as text."""
    if cell[:1] not in "[{" or not cell:
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _neighbour(path: Path) -> str:
    try:
        near = nearest(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return f" (nor the folder {path.parent.name!r})"
    return f"; did you mean {near!r}?" if near is not None else ""
