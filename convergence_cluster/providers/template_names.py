"""Which names a template cannot be rendered without, found before any call."""

from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

from convergence_cluster.providers.templates import GLOBALS, parse_template

ROOTS: Final = frozenset({"params", "case", "input"})
"""What every template sees."""

Path = tuple[str, ...]


def required_paths(source: str) -> tuple[Path, ...]:
    """Return the paths (`params.x`, `case.x.y`) that a template fails without, each once, in their order.

    What stands beside `default`, in a condition or in a statement is left out: it may be there for an absent value.

    Raises:
        SpecError: the template is not valid Jinja.
    """
    body = parse_template(source).body
    outputs = [part for part in body if isinstance(part, nodes.Output)]
    if len(outputs) < len(body):
        return ()
    return tuple(dict.fromkeys(path for output in outputs for part in output.nodes for path in _required(part)))


def _required(part: nodes.Node) -> Iterator[Path]:
    if isinstance(part, nodes.CondExpr | nodes.Test | nodes.And | nodes.Or) or _is_default(part):
        return
    if isinstance(part, nodes.Call) and isinstance(part.node, nodes.Getattr):
        yield from _required(part.node.node)  # the last name is a method
        for argument in part.args:
            yield from _required(argument)
        return
    path = _path_of(part)
    if path is None:
        for child in part.iter_child_nodes():
            yield from _required(child)
    elif path[0] not in GLOBALS:
        yield path


def _path_of(part: nodes.Node) -> Path | None:
    match part:
        case nodes.Name():
            return (part.name,)
        case nodes.Getattr():
            parent, step = _path_of(part.node), part.attr
        case nodes.Getitem(arg=nodes.Const(value=str() as step)):
            parent = _path_of(part.node)
        case _:
            return None
    return None if parent is None else (*parent, step)


def _is_default(part: nodes.Node) -> bool:
    return isinstance(part, nodes.Filter) and part.name in {"default", "d"}
