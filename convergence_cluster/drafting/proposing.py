"""From an operation of an OpenAPI document to a study: what is sent, what is searched, what the cases give."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.drafting.answers import AnswerPaths, answer_paths
from convergence_cluster.drafting.knobs import Knob, is_left_out, is_model, is_superseded, knob_of, rank
from convergence_cluster.drafting.openapi import Key, OpenApi, Operation, Parameter
from convergence_cluster.drafting.samples import sample
from convergence_cluster.drafting.shapes import branch_of, choice_of, constant_of, merged, type_of

MAX_KNOBS = 8
"""Optional ones beyond are listed and not searched."""
_MAX_DEPTH = 4
_NOT_VENDOR = re.compile(r"api|www|v\d+|\d+|localhost")
_FORM = "application/x-www-form-urlencoded"
_NOT_NAME = re.compile(r"\W+")
_CONTENT = (
    *("input", "messages", "prompt", "query", "q", "question", "text", "texts", "content", "contents", "message"),
    *("url", "urls", "instructions", "documents", "document", "search", "image_url", "file_url", "data"),
)
_ABSENT = object()


@dataclass(kw_only=True, slots=True)
class Proposal:
    """A study as it is drafted."""

    label: str
    title: str
    vendor: str
    """A short name of who serves it, for variables and the study."""
    server: str
    path: str
    """With templates for its parameters."""
    method: str
    keys: tuple[Key, ...]
    headers: dict[str, Json] = field(default_factory=dict)
    query: dict[str, Json] = field(default_factory=dict)
    body: Json = None
    knobs: list[Knob] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Further optional properties, which are not sent."""
    inputs: dict[str, Json] = field(default_factory=dict)
    """A case's input: name -> a sample."""
    answer: AnswerPaths = field(default_factory=AnswerPaths)


def propose(api: OpenApi, operation: Operation) -> Proposal:
    """Return what a study of an operation could be.

    Raises:
        SpecError: it takes a kind of body that a study cannot send, or has nothing to search.
    """
    kind = operation.content_type
    is_known = kind is None or "json" in kind or kind == "*/*" or kind.startswith(_FORM)
    if operation.body is not None and not is_known:
        raise SpecError(f"{operation.label} takes {kind}; a study sends JSON or forms")
    proposal = _Draft(api, operation).draft()
    if not proposal.knobs or not (proposal.query or proposal.body is not None):
        raise SpecError(
            f"{operation.label} has nothing to search: no enumeration, flag or number with bounds that an answer "
            "depends on; choose another operation"
        )
    return proposal


def n_knobs(api: OpenApi, operation: Operation) -> int:
    """Return how much there is to search, 0 for an operation that no study can call."""
    try:
        return len(propose(api, operation).knobs)
    except SpecError:
        return 0


class _Draft:
    """Walks what an operation takes, once."""

    def __init__(self, api: OpenApi, operation: Operation) -> None:
        self._api = api
        self._operation = operation
        self._proposal = Proposal(
            label=operation.label,
            title=api.title,
            vendor=_vendor(api, operation),
            server=operation.server,
            path=operation.path,
            method=operation.method,
            keys=operation.keys,
            answer=answer_paths(api, operation.answer),
        )

    def draft(self) -> Proposal:
        operation = self._operation
        for parameter in sorted(operation.parameters, key=lambda p: (not p.is_required, rank(p.name))):
            self._outside(parameter)
        if operation.body is not None:
            body = self._body(merged(self._api, operation.body))
            self._proposal.body = body
            if (operation.content_type or "").startswith(_FORM):
                self._proposal.headers["Content-Type"] = _FORM
        self._proposal.knobs.sort(key=lambda knob: rank(knob.name))
        return self._proposal

    def _outside(self, parameter: Parameter) -> None:
        found = self._proposal
        shape = merged(self._api, parameter.schema)
        if parameter.where == "path":
            is_choice = is_model(parameter.name) or bool(shape.get("enum"))
            knob = knob_of(parameter.name, shape) if is_choice else None
            own = self._input(parameter.name, shape) if knob is None else self._turn(knob, prefix="", is_required=True)
            found.path = found.path.replace(f"{{{parameter.name}}}", str(own))
            return
        if parameter.where == "header" and "default" in shape:
            found.headers[parameter.name] = str(shape["default"])
            return
        value = self._field(parameter.name, shape, is_required=parameter.is_required, depth=_MAX_DEPTH)
        if value is not _ABSENT:
            (found.query if parameter.where == "query" else found.headers)[parameter.name] = value

    def _body(self, shape: Mapping[str, Json]) -> Json:
        choice = choice_of(self._api, shape)
        if choice is None:
            shape = branch_of(self._api, shape)
        if choice is not None or type_of(shape) == "object":
            given = shape.get("example")
            template = self._object(shape, depth=0, example=given if isinstance(given, Mapping) else {}, prefix="")
            return self._with_content(template, shape)
        return self._input("body", shape)

    def _with_content(self, template: dict[str, Json], shape: Mapping[str, Json]) -> dict[str, Json]:
        """Let the case give what the call is about where the document requires no such thing."""
        if self._proposal.inputs:
            return template
        properties = shape.get("properties") or {}
        name = next((name for name in _CONTENT if name in properties and name not in template), None)
        if name is None:
            return template
        self._proposal.left = [other for other in self._proposal.left if other != name]
        return {name: self._input(name, branch_of(self._api, merged(self._api, properties[name]))), **template}

    def _object(
        self, shape: Mapping[str, Json], *, depth: int, example: Mapping[str, Json], prefix: str
    ) -> dict[str, Json]:
        """Return the template of an object, with all that it requires and what of the rest is worth searching."""
        choice = choice_of(self._api, shape)
        if choice is not None:
            return self._choice(shape, depth=depth, prefix=prefix)
        properties = shape.get("properties") or {}
        required = set(shape.get("required") or ())
        template: dict[str, Json] = {}
        for name in sorted(properties, key=lambda name: (name not in required, rank(name))):
            part = merged(self._api, properties[name])
            if part.get("readOnly"):
                continue
            if name in example:
                part.setdefault("example", example[name])
            if name not in required and is_superseded(name, properties):
                self._leave(name)
                continue
            value = self._field(name, part, is_required=name in required, depth=depth, prefix=prefix)
            if value is not _ABSENT:
                template[name] = value
        for name in required - set(properties):
            template[name] = self._input(name, {})
        return template

    def _field(self, name: str, shape: Mapping[str, Json], *, is_required: bool, depth: int, prefix: str = "") -> Json:
        constant = constant_of(shape)
        if is_required and constant is not None:
            return constant[0]
        if not is_required and (is_left_out(name) or constant is not None or shape.get("deprecated")):
            return self._leave(name)
        knob = None if is_left_out(name) else knob_of(name, shape, is_required=is_required)
        if knob is not None:
            return self._turn(knob, prefix=prefix, is_required=is_required)
        if depth < _MAX_DEPTH and _is_object(shape) and (is_required or len(self._proposal.knobs) < MAX_KNOBS):
            return self._nested(name, shape, is_required=is_required, depth=depth + 1, prefix=f"{prefix}{name}_")
        return self._input(name, shape) if is_required else self._leave(name)

    def _nested(self, name: str, shape: Mapping[str, Json], *, is_required: bool, depth: int, prefix: str) -> Json:
        """Return an object's template; an optional one is sent only for what can be searched in it."""
        if not is_required and shape.get("oneOf") and choice_of(self._api, shape) is None:
            return self._leave(name)  # exactly one kind must fit, and nothing tells which
        before = self._proposal
        self._proposal = trial = replace(before, knobs=[*before.knobs], left=[*before.left], inputs={**before.inputs})
        value = self._object(branch_if_plain(self._api, shape), depth=depth, example={}, prefix=prefix)
        is_worth_it = len(trial.knobs) > len(before.knobs) and trial.inputs == before.inputs
        if is_required or is_worth_it:
            return value
        self._proposal = before
        return self._leave(name)

    def _choice(self, shape: Mapping[str, Json], *, depth: int, prefix: str) -> dict[str, Json]:
        """Return the template of an object of several kinds: the kind is searched, and what each kind alone takes.

        Kinds that want content of their own are left out, unless there is no other.
        """
        choice = choice_of(self._api, shape)
        assert choice is not None
        found: dict[Json, tuple[dict[str, Json], Proposal]] = {}
        before = self._proposal
        for value, branch in choice.branches.items():
            rest = {**branch, "properties": {k: v for k, v in branch["properties"].items() if k != choice.name}}
            rest["required"] = [name for name in branch.get("required") or () if name != choice.name]
            self._proposal = replace(before, knobs=[], left=[], inputs={})
            template = self._object(_alone(rest), depth=depth + 1, example={}, prefix=prefix)
            found[value] = (template, self._proposal)
        self._proposal = before
        free = {value: each for value, each in found.items() if not each[1].inputs and not _has_inner(each[0])}
        if len(free) <= 1:
            value, (own, trial) = next(iter(free.items() or found.items()))
            before.inputs |= trial.inputs
            self._take(trial.knobs, {})
            return {choice.name: value, **own}
        name = self._name(prefix + choice.name)
        before.knobs.append(Knob(name=name, values=tuple(free)))
        template = {choice.name: _template("params", name)}
        for value, (own, trial) in free.items():
            template |= {key: _only_with(item, name, value) for key, item in own.items()}
            self._take(trial.knobs, {name: (value,)})
        return template

    def _take(self, knobs: list[Knob], when: Mapping[str, tuple[Json, ...]]) -> None:
        """Take a kind's own parameters; one that several kinds have is searched for all of them."""
        for knob in knobs:
            known = next((n for n, other in enumerate(self._proposal.knobs) if other.name == knob.name), None)
            if known is None:
                self._proposal.knobs.append(replace(knob, when=knob.when or when))
                continue
            other = self._proposal.knobs[known]
            both = {key: (*other.when.get(key, ()), *values) for key, values in when.items()}
            self._proposal.knobs[known] = replace(other, when=both)

    def _turn(self, knob: Knob, *, prefix: str, is_required: bool) -> Json:
        if not is_required and len(self._proposal.knobs) >= MAX_KNOBS:
            return self._leave(knob.name)
        name = self._name(prefix + knob.name)
        self._proposal.knobs.append(replace(knob, name=name))
        return _template("params", name)

    def _name(self, wanted: str) -> str:
        name = _NOT_NAME.sub("_", wanted).strip("_") or "value"
        name = f"p_{name}" if name[0].isdigit() else name
        taken = {knob.name for knob in self._proposal.knobs}
        return next(each for each in [name, *(f"{name}_{n}" for n in range(2, 100))] if each not in taken)

    def _input(self, name: str, shape: Mapping[str, Json]) -> Json:
        """Let the case give a value; return its template."""
        key = _NOT_NAME.sub("_", name)
        key = {"id": "id_", "input": "input_", "metadata": "metadata_"}.get(key, key)
        self._proposal.inputs[key] = sample(self._api, shape, name)
        return _template("case", key)

    def _leave(self, name: str) -> Json:
        self._proposal.left.append(name)
        return _ABSENT


def branch_if_plain(api: OpenApi, shape: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a schema whose alternatives something tells apart as it is, any other without them."""
    return shape if choice_of(api, shape) is not None else branch_of(api, shape)


def _is_object(shape: Mapping[str, Json]) -> bool:
    branches = shape.get("oneOf") or shape.get("anyOf") or ()
    return type_of(shape) == "object" or (bool(branches) and all(type_of(branch) == "object" for branch in branches))


def _alone(shape: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in shape.items() if key not in {"oneOf", "anyOf", "discriminator"}}


def _vendor(api: OpenApi, operation: Operation) -> str:
    host = (urlsplit(operation.server).hostname or "").split(".")[:-1]
    names = [part for part in host if not _NOT_VENDOR.fullmatch(part) and "{" not in part]
    return names[-1] if names else api.title


def _has_inner(template: Mapping[str, Json]) -> bool:
    return any(isinstance(value, Mapping) for value in template.values())


def _only_with(item: Json, name: str, value: Json) -> Json:
    """Return the template of what is sent only while a parameter has a value."""
    if isinstance(item, str) and item.startswith("{{"):
        return item if "default(omit)" in item else item.replace(" }}", " | default(omit) }}")
    return f"{{{{ {json.dumps(item)} if params.{name} == {json.dumps(value)} else omit }}}}"


def _template(scope: str, name: str) -> str:
    return f"{{{{ {scope}.{name} }}}}"
