"""Real files that are on every machine with this Python: its documentation, sources, byte code and machine code."""

import marshal
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 262_144
"""At most so much of each file, so that the slowest codec stays within a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusFile:
    """One file to compress."""

    name: str
    origin: str
    """Where the bytes come from, relative to the installation."""
    content: bytes


def corpus() -> Mapping[str, CorpusFile]:
    """Return the files by name; one that this installation lacks is left out."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    sources: dict[str, tuple[str, Callable[[], bytes]]] = {
        "prose": ("pydoc_data/topics.py", (stdlib / "pydoc_data" / "topics.py").read_bytes),
        "source": ("argparse.py", (stdlib / "argparse.py").read_bytes),
        "code-dense": ("_pydecimal.py", (stdlib / "_pydecimal.py").read_bytes),
        "table": ("html/entities.py", (stdlib / "html" / "entities.py").read_bytes),
        "charmap": ("encodings/cp1252.py", (stdlib / "encodings" / "cp1252.py").read_bytes),
        "bytecode": ("typing.py, compiled", lambda: _bytecode(stdlib / "typing.py")),
        "bytecode-large": ("tarfile.py, compiled", lambda: _bytecode(stdlib / "tarfile.py")),
        "machine-code": ("an extension module or the interpreter", _machine_code),
    }
    files = {}
    for name, (origin, read) in sources.items():
        try:
            content = read()[:MAX_BYTES]
        except OSError:
            continue
        if content:
            files[name] = CorpusFile(name=name, origin=origin, content=content)
    return files


def _bytecode(path: Path) -> bytes:
    return marshal.dumps(compile(path.read_bytes(), path.name, "exec", dont_inherit=True))


def _machine_code() -> bytes:
    """Return the middle of the largest extension module of the standard library, else of the interpreter itself."""
    folder = sysconfig.get_config_var("DESTSHARED")
    modules = sorted(Path(folder).glob("*.so"), key=lambda path: path.stat().st_size) if folder else []
    content = (modules[-1] if modules else Path(sys.executable)).read_bytes()
    start = max(len(content) // 2 - MAX_BYTES, 0)
    return content[start:]
