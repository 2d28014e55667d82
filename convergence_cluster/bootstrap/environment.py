"""The process's environment, completed by a `.env` file that never overrules the shell."""

import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_COMMENT = re.compile(r"\s+#.*$")


def read_environment(folder: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return `environ` and, below it, what `.env` in `folder` sets. Values may be quoted; nothing is expanded."""
    path = folder / ".env"
    if not path.is_file():
        return dict(environ)
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match:
            found[match.group(1)] = _value(match.group(2))
    return {**found, **environ}


def _value(text: str) -> str:
    for quote in ("'", '"'):
        if text.startswith(quote):
            return text[1:].partition(quote)[0]
    return _COMMENT.sub("", text)
