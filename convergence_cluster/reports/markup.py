"""HTML and SVG elements in which nothing foreign can become markup."""

import html
import re
from collections.abc import Iterable

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Neither HTML nor XML may hold these; direction marks could make text read as what it is not."""
_VOID = frozenset({"meta", "link", "br", "col"})


class Markup(str):
    """Text that is markup already. Only this module turns foreign text into it."""

    __slots__ = ()


EMPTY = Markup()


def text(content: str) -> Markup:
    """Return foreign text as markup that shows it as it is."""
    return content if isinstance(content, Markup) else Markup(html.escape(_FORBIDDEN.sub("\ufffd", content)))


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Return an element. `class_` is written `class`, `aria_label` is written `aria-label`; None leaves one out."""
    opened = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{opened}>")
    return Markup(f"<{name}{opened}>{''.join(map(text, children))}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Return the parts one after the other."""
    return Markup(text(between).join(map(text, parts)))


def trusted(literal: str) -> Markup:
    """Return a literal of this package as markup; never called with anything that came from outside."""
    return Markup(literal)


def _value(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return text(str(value))
