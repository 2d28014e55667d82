"""An OpenAPI 3.0 or 3.1 document: its references followed, its operations listed, its servers and keys found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json

METHODS = ("get", "post", "put", "patch", "delete")
_MAX_HOPS = 50
_KEY_HEADERS = {"authorization", "x-api-key", "api-key", "x-goog-api-key", "x-auth-token", "apikey"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A parameter outside the body."""

    name: str
    where: str
    """`path`, `query` or `header`."""
    is_required: bool
    schema: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """How one security scheme authorizes a call."""

    kind: str
    """`bearer`, `api_key`, `query`, `basic` or `oauth`."""
    name: str = ""
    """The header of `api_key`, the parameter of `query`."""
    token_url: str = ""
    scopes: tuple[str, ...] = ()
    is_last_resort: bool = False
    """A token that its user has to fetch by hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path."""

    id: str
    """The document's operationId, else empty."""
    method: str
    """In capitals."""
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    body: Mapping[str, Json] | None
    """Schema of the body; None: it takes none."""
    content_type: str | None
    is_body_required: bool
    answer: Mapping[str, Json] | None
    """Schema of a good answer in JSON; None: there is none."""
    server: str
    """URL with its variables at their defaults; may be relative or empty."""
    is_deprecated: bool
    keys: tuple[Key, ...]
    """All of them at once; empty: no key, or of a kind that a study cannot send."""

    @property
    def label(self) -> str:
        """Name it as the command line takes it: `POST /v1/chat`."""
        return f"{self.method} {self.path}"


class OpenApi:
    """A document. `origin` is its URL or empty: relative servers are relative to it."""

    def __init__(self, document: Json, *, name: str, origin: str = "") -> None:
        self.name = name
        self._document = document
        self._origin = origin
        version = document.get("openapi") if isinstance(document, Mapping) else None
        if isinstance(version, str) and version.startswith("3.") and isinstance(document.get("paths"), Mapping):
            return
        if isinstance(document, Mapping) and "swagger" in document:
            raise SpecError(
                f"{name}: this is Swagger {document['swagger']}, the format before OpenAPI; expected OpenAPI 3.x. "
                "Convert it (https://converter.swagger.io or `npx swagger2openapi`), or look for a newer document"
            )
        raise SpecError(f"{name}: not an OpenAPI document: expected `openapi: 3.x` and `paths` at the top")

    @property
    def title(self) -> str:
        """The API's name."""
        info = self._document.get("info")
        return str(info.get("title") or "api") if isinstance(info, Mapping) else "api"

    def follow(self, node: Json) -> dict[str, Json]:
        """Return a node with its own reference, if it is one, replaced by what it names; keys beside `$ref` add to it.

        Raises:
            SpecError: the reference goes elsewhere than into this document, to nowhere, or in a circle.
        """
        beside: dict[str, Json] = {}
        for _ in range(_MAX_HOPS):
            if not isinstance(node, Mapping):
                return beside
            if not isinstance(node.get("$ref"), str):
                return {**node, **beside}
            beside = {**{key: value for key, value in node.items() if key != "$ref"}, **beside}
            node = self._at(node["$ref"])
        raise SpecError(f"{self.name}: a $ref goes in a circle")

    def operations(self) -> tuple[Operation, ...]:
        """Return every operation in the order of the document."""
        return tuple(self._operations())

    def _operations(self) -> Iterator[Operation]:
        for path, item in self._document["paths"].items():
            found = self.follow(item)
            for method in METHODS:
                if isinstance(found.get(method), Mapping):
                    yield self._operation(str(path), method, found)

    def _operation(self, path: str, method: str, item: Mapping[str, Json]) -> Operation:
        operation = self.follow(item[method])
        content_type, body, is_required = self._body(operation)
        parameters = self._parameters(item, operation)
        keys = self._keys(operation) or _declared_keys(parameters)
        names = {key.name.lower() for key in keys} | {"authorization"}
        return Operation(
            id=str(operation.get("operationId") or ""),
            method=method.upper(),
            path=path,
            summary=" ".join(str(operation.get("summary") or operation.get("description") or "").split())[:100],
            parameters=tuple(p for p in parameters if p.name.lower() not in names or p.where == "path"),
            body=body,
            content_type=content_type,
            is_body_required=is_required,
            answer=self._answer(operation),
            server=self._server(item, operation),
            is_deprecated=operation.get("deprecated") is True,
            keys=keys,
        )

    def _at(self, reference: str) -> Json:
        if not reference.startswith("#/"):
            raise SpecError(f"{self.name}: $ref {reference!r} names another file; bundle the document into one first")
        node: Json = self._document
        for part in reference[2:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and key in node:
                node = node[key]
            elif isinstance(node, Sequence) and not isinstance(node, str) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            else:
                raise SpecError(f"{self.name}: $ref {reference!r} names nothing in this document")
        return node

    def _parameters(self, item: Mapping[str, Json], operation: Mapping[str, Json]) -> tuple[Parameter, ...]:
        found: dict[tuple[str, str], Parameter] = {}
        for given in [*(item.get("parameters") or ()), *(operation.get("parameters") or ())]:
            node = self.follow(given)
            where, name = str(node.get("in")), str(node.get("name"))
            if where not in {"path", "query", "header"}:
                continue
            content = node.get("content")
            schema = self.follow(node.get("schema")) if content is None else {}
            if "example" in node:
                schema.setdefault("example", node["example"])
            is_required = where == "path" or node.get("required") is True
            found[where, name] = Parameter(name=name, where=where, is_required=is_required, schema=schema)
        return tuple(found.values())

    def _body(self, operation: Mapping[str, Json]) -> tuple[str | None, Mapping[str, Json] | None, bool]:
        body = self.follow(operation.get("requestBody"))
        content = body.get("content")
        if not isinstance(content, Mapping) or not content:
            return None, None, False
        known = [kind for kind in content if _is_json(kind)] + [
            kind for kind in content if str(kind).startswith("application/x-www-form-urlencoded")
        ]
        kind = str(known[0] if known else next(iter(content)))
        media = self.follow(content[kind])
        schema = self.follow(media.get("schema"))
        example = media.get("example", next(self._examples(media), None))
        if example is not None:
            schema.setdefault("example", example)
        return kind, schema, body.get("required") is True

    def _examples(self, media: Mapping[str, Json]) -> Iterator[Json]:
        examples = media.get("examples")
        for example in examples.values() if isinstance(examples, Mapping) else ():
            found = self.follow(example)
            if "value" in found:
                yield found["value"]

    def _answer(self, operation: Mapping[str, Json]) -> Mapping[str, Json] | None:
        responses = operation.get("responses")
        if not isinstance(responses, Mapping):
            return None
        given = {str(status): response for status, response in responses.items()}
        good = [status for status in given if status.startswith("2")] + [s for s in given if s == "default"]
        for status in sorted(good):
            content = self.follow(given[status]).get("content")
            for kind, media in content.items() if isinstance(content, Mapping) else ():
                if _is_json(kind) and isinstance(media, Mapping) and "schema" in media:
                    return self.follow(media["schema"])
        return None

    def _server(self, item: Mapping[str, Json], operation: Mapping[str, Json]) -> str:
        given = (node.get("servers") for node in (operation, item, self._document))
        servers: list[Json] = next((each for each in given if each), [])
        if not servers:
            return self._origin and urljoin(self._origin, "/").rstrip("/")
        server = servers[0]
        url = str(server.get("url", ""))
        for name, variable in (server.get("variables") or {}).items():
            default = str(variable.get("default", ""))
            url = url.replace(f"{{{name}}}", default or f"{{{name}}}")
        url = urljoin(self._origin, url) if self._origin and not urlsplit(url).scheme else url
        return url.rstrip("/")

    def _keys(self, operation: Mapping[str, Json]) -> tuple[Key, ...]:
        """Return the first way to be authorized that a study can go, the one with the fewest keys."""
        schemes = self._document.get("components", {}).get("securitySchemes") or {}
        ways = operation.get("security", self._document.get("security"))
        if ways is None:
            ways = [{name: []} for name in schemes]
        found = []
        for way in ways:
            keys = [_key(self.follow(schemes.get(name)), tuple(map(str, scopes or ()))) for name, scopes in way.items()]
            known = tuple(key for key in keys if key is not None)
            if known and len(known) == len(keys):
                found.append(known)
        return min(found, key=lambda keys: (len(keys), keys[0].is_last_resort, _ORDER.index(keys[0].kind)), default=())


_ORDER = ("bearer", "api_key", "query", "basic", "oauth")


def _declared_keys(parameters: Sequence[Parameter]) -> tuple[Key, ...]:
    """Return the key that a document declares as an ordinary header."""
    name = next((p.name for p in parameters if p.where == "header" and p.name.lower() in _KEY_HEADERS), None)
    if name is None:
        return ()
    return (Key(kind="bearer") if name.lower() == "authorization" else Key(kind="api_key", name=name),)


def _key(scheme: Mapping[str, Json], scopes: tuple[str, ...]) -> Key | None:
    kind, name = str(scheme.get("type")), str(scheme.get("name", ""))
    if kind == "http":
        is_basic = str(scheme.get("scheme", "")).lower() == "basic"
        return Key(kind="basic" if is_basic else "bearer")
    if kind == "apiKey":
        if scheme.get("in") == "query":
            return Key(kind="query", name=name)
        if scheme.get("in") != "header":
            return None
        return Key(kind="bearer") if name.lower() == "authorization" else Key(kind="api_key", name=name)
    if kind == "oauth2":
        flow = (scheme.get("flows") or {}).get("clientCredentials")
        if isinstance(flow, Mapping) and flow.get("tokenUrl"):
            return Key(kind="oauth", token_url=str(flow["tokenUrl"]), scopes=scopes)
    return Key(kind="bearer", is_last_resort=True) if kind in {"oauth2", "openIdConnect"} else None


def _is_json(kind: object) -> bool:
    name = str(kind).partition(";")[0].strip().lower()
    return name == "application/json" or name.endswith("+json") or name == "*/*"
