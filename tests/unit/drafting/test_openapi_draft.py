"""What is made of an OpenAPI 3.0 document: endpoint, key, templates, search space, places in the answer."""

import copy
import json
from typing import Any

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.drafting.from_openapi import draft_openapi, find_operation, listing, name_of, searchable
from convergence_cluster.drafting.knobs import Knob
from convergence_cluster.drafting.openapi import Key, OpenApi
from convergence_cluster.drafting.proposing import Proposal, propose
from convergence_cluster.drafting.wishes import Wishes
from convergence_cluster.drafting.writing import scalar
from convergence_cluster.spec.loading import LoadedStudy, loads

COUNT = {"type": "integer"}
LANGUAGE = {"type": "string", "enum": ["de", "fr"], "default": "de"}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Shop search", "version": "1"},
    "servers": [{"url": "https://{region}.shop.example/v2", "variables": {"region": {"default": "eu"}}}],
    "security": [{"key": []}],
    "paths": {
        "/shops/{shop}/query": {
            "parameters": [{"name": "shop", "in": "path", "required": True, "schema": {"type": "string"}}],
            "post": {
                "operationId": "query",
                "summary": "Find products",
                "parameters": [
                    {
                        "name": "lang",
                        "in": "query",
                        "schema": {"type": "string", "enum": ["de", "fr"], "default": "de"},
                    },
                    {"name": "X-Version", "in": "header", "schema": {"type": "string", "default": "2026-01"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Query"}}},
                },
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Hits"}}}}
                },
            },
            "get": {"operationId": "about", "responses": {}},
            "delete": {
                "operationId": "drop",
                "parameters": [{"name": "force", "in": "query", "schema": {"type": "boolean"}}],
                "responses": {},
            },
        },
        "/pictures": {
            "post": {
                "operationId": "upload",
                "requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}},
                "responses": {},
            }
        },
    },
    "components": {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Shop-Key"}},
        "schemas": {
            "Paging": {
                "type": "object",
                "properties": {
                    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
                    "cursor": {"type": "string"},
                },
            },
            "Query": {
                "allOf": [
                    {"$ref": "#/components/schemas/Paging"},
                    {
                        "type": "object",
                        "required": ["text", "ranker", "version"],
                        "properties": {
                            "text": {"type": "string", "example": "red shoes"},
                            "version": {"type": "integer", "enum": [3]},
                            "threshold": {
                                "type": "number",
                                "minimum": 0,
                                "exclusiveMinimum": True,
                                "maximum": 1,
                                "nullable": True,
                            },
                            "fuzzy": {"type": "boolean"},
                            "stream": {"type": "boolean"},
                            "made_at": {"type": "string", "readOnly": True},
                            "ranker": {
                                "oneOf": [
                                    {"$ref": "#/components/schemas/Plain"},
                                    {"$ref": "#/components/schemas/Learned"},
                                    {"$ref": "#/components/schemas/Custom"},
                                ],
                                "discriminator": {"propertyName": "kind"},
                            },
                        },
                    },
                ]
            },
            "Plain": {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": ["plain"]}}},
            "Learned": {
                "type": "object",
                "required": ["kind", "depth", "flavour"],
                "properties": {
                    "kind": {"enum": ["learned"]},
                    "depth": {"type": "integer", "minimum": 2, "maximum": 9},
                    "flavour": {"enum": ["sharp"]},
                },
            },
            "Custom": {
                "type": "object",
                "required": ["kind", "program"],
                "properties": {"kind": {"enum": ["custom"]}, "program": {"type": "string"}},
            },
            "Hits": {
                "type": "object",
                "properties": {
                    "error": {"type": "string"},
                    "hits": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}}}},
                    "meta": {
                        "type": "object",
                        "properties": {
                            "tokens": {
                                "type": "object",
                                "properties": {
                                    "input_tokens": {"type": "integer"},
                                    "output_tokens": {"type": "integer"},
                                },
                            }
                        },
                    },
                },
            },
        },
    },
}


def api(**changes: Any) -> OpenApi:
    return OpenApi({**copy.deepcopy(DOCUMENT), **changes}, name="shop.yaml")


def proposal(document: OpenApi | None = None, operation: str = "query") -> Proposal:
    document = document or api()
    return propose(document, find_operation(document, operation))


def study(found: Proposal, wishes: Wishes | None = None) -> LoadedStudy:
    files = draft_openapi(found, wishes or Wishes(name="shop")).files
    cases = json.loads(files["test_cases.json"])
    text = files["study.yaml"].replace("{path: test_cases.json}", json.dumps({"inline": cases}))
    text = text.replace("function: custom", "function: contains").replace('"expected": null', '"expected": "x"')
    return loads(text.replace("  custom_evaluator: {module: evaluator, function: score_response}\n", ""))


def test_what_is_sent_is_said_by_templates() -> None:
    found = proposal()

    assert found.server == "https://eu.shop.example/v2"
    assert found.path == "/shops/{{ case.shop }}/query"
    assert found.query == {"lang": "{{ params.lang }}"}
    assert found.headers == {"X-Version": "2026-01"}
    assert found.body == {
        "version": 3,
        "text": "{{ case.text }}",
        "ranker": {
            "kind": "{{ params.ranker_kind }}",
            "depth": "{{ params.ranker_depth | default(omit) }}",
            "flavour": '{{ "sharp" if params.ranker_kind == "learned" else omit }}',
        },
        "threshold": "{{ params.threshold }}",
        "limit": "{{ params.limit }}",
        "fuzzy": "{{ params.fuzzy }}",
    }
    assert found.inputs == {"shop": "shop", "text": "red shoes"}
    assert set(found.left) == {"cursor", "stream"}


def test_enumerations_flags_ranges_and_conditions_are_searched() -> None:
    loaded = study(proposal())
    by_name = {parameter.name: parameter for parameter in loaded.space.parameters}

    assert by_name["lang"].values == ("de", "fr")
    assert by_name["fuzzy"].values == (False, True)
    assert (by_name["limit"].low, by_name["limit"].high) == (1, 100)
    assert (by_name["threshold"].low, by_name["threshold"].high) == (0.01, 1)
    assert by_name["ranker_kind"].values == ("plain", "learned")  # custom wants a program
    assert by_name["ranker_depth"].when == {"ranker_kind": ("learned",)}
    assert loaded.baseline["limit"] == 10
    assert loaded.baseline["lang"] == "de"


def test_places_in_the_answer_are_found() -> None:
    response = study(proposal()).spec.api.response

    assert response.result_field == "hits[0].id"
    assert response.error_field == "error"
    assert response.usage is not None
    assert response.usage.rule() == "meta.tokens"


@pytest.mark.parametrize(
    ("scheme", "entry", "variables"),
    [
        ({"type": "http", "scheme": "bearer"}, {"type": "bearer", "token_env": "SHOP_API_KEY"}, ("SHOP_API_KEY",)),
        (
            {"type": "http", "scheme": "Basic"},
            {"type": "basic", "username_env": "SHOP_USER", "password_env": "SHOP_PASSWORD"},
            ("SHOP_USER", "SHOP_PASSWORD"),
        ),
        (
            {"type": "apiKey", "in": "header", "name": "X-Shop-Key"},
            {"type": "api_key", "token_env": "SHOP_API_KEY", "header_name": "X-Shop-Key"},
            ("SHOP_API_KEY",),
        ),
        (
            {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://shop.example/token"}}},
            {
                "type": "oauth",
                "token_url": "https://shop.example/token",
                "client_id_env": "SHOP_CLIENT_ID",
                "client_secret_env": "SHOP_CLIENT_SECRET",
                "scope": "read write",
            },
            ("SHOP_CLIENT_ID", "SHOP_CLIENT_SECRET"),
        ),
        (
            {"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "https://shop.example/in"}}},
            {"type": "bearer", "token_env": "SHOP_API_KEY"},
            ("SHOP_API_KEY",),
        ),
    ],
)
def test_keys_are_named_and_never_written(scheme: Any, entry: dict[str, str], variables: tuple[str, ...]) -> None:
    components = {**DOCUMENT["components"], "securitySchemes": {"key": scheme}}
    document = api(components=components, security=[{"key": ["read", "write"]}])

    found = proposal(document)

    auth = study(found).spec.api.auth
    assert auth.model_dump(exclude_unset=True) == entry
    assert draft_openapi(found, Wishes(name="shop")).variables == variables


def test_a_key_in_the_query_is_a_variable_in_the_endpoint() -> None:
    scheme = {"type": "apiKey", "in": "query", "name": "apikey"}
    found = proposal(api(components={**DOCUMENT["components"], "securitySchemes": {"key": scheme}}))

    spec = study(found).spec

    assert spec.api.endpoint == (
        "${SHOP_BASE_URL:-https://eu.shop.example/v2}/shops/{{ case.shop }}/query?apikey=${SHOP_API_KEY}"
    )
    assert spec.api.auth.type == "none"


def test_of_several_ways_in_the_one_that_needs_no_browser_is_taken() -> None:
    schemes = {
        "login": {"type": "oauth2", "flows": {"implicit": {}}},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Shop-Key"},
    }
    security: list[Any] = [{"cookie": []}, {"login": []}, {"key": []}]
    document = api(components={**DOCUMENT["components"], "securitySchemes": schemes}, security=security)

    assert proposal(document).keys == (Key(kind="api_key", name="X-Shop-Key"),)


def test_without_a_price_calls_are_capped_and_with_one_money_is() -> None:
    unpriced, priced = study(proposal()), study(proposal(), Wishes(name="shop", usd_per_call=0.002, usd=3, calls=50))

    assert (unpriced.spec.budget.usd, unpriced.max_calls) == (None, 400)
    assert (priced.spec.budget.usd, priced.max_calls) == (3.0, 50)
    assert [metric.name for metric in priced.metrics] == ["quality", "latency_ms", "cost_usd"]


def test_a_form_is_sent_as_a_form() -> None:
    document = copy.deepcopy(DOCUMENT)
    body = document["paths"]["/shops/{shop}/query"]["post"]["requestBody"]
    body["content"] = {
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "required": ["q"],
                "properties": {"q": {"type": "string"}, "mode": {"type": "string", "enum": ["fast", "exact"]}},
            }
        }
    }

    request = study(proposal(OpenApi(document, name="shop.yaml"))).spec.api.request

    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body == {"q": "{{ case.q }}", "mode": "{{ params.mode }}"}


def test_models_that_the_user_names_are_compared() -> None:
    document = copy.deepcopy(DOCUMENT)
    query = document["components"]["schemas"]["Query"]["allOf"][1]
    query["properties"]["model"] = {"type": "string"}
    query["required"].append("model")

    loaded = study(proposal(OpenApi(document, name="shop.yaml")), Wishes(name="shop", models=("small", "large")))

    assert next(p.values for p in loaded.space.parameters if p.name == "model") == ("small", "large")


def test_only_what_can_be_searched_is_offered_and_nothing_that_deletes() -> None:
    found = searchable(api())

    assert [operation.id for operation, _ in found] == ["query"]
    assert listing(found) == ["POST /shops/{shop}/query  6 to search  Find products"]
    assert name_of(proposal()) == "shop-query"


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("upload", "POST /pictures takes multipart/form-data; a study sends JSON or forms"),
        ("about", "GET /shops/{shop}/query has nothing to search"),
        ("querry", "did you mean 'query'"),
        ("/shops/{shop}/query", "several; expected one of GET /shops/{shop}/query, POST /sh"),
    ],
)
def test_an_operation_that_will_not_do_is_refused_with_a_reason(operation: str, message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(").replace("{", r"\{")):
        proposal(operation=operation)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"swagger": "2.0", "paths": {}}, "Swagger 2.0.*Convert it"),
        ({"openapi": "4.0.0", "paths": {}}, "not an OpenAPI document: expected `openapi: 3.x`"),
        (["openapi"], "not an OpenAPI document"),
        ({**DOCUMENT, "components": {}}, "names nothing in this document"),
    ],
)
def test_another_document_is_refused_with_a_cure(document: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        proposal(OpenApi(document, name="other.yaml"))


@pytest.mark.parametrize(
    ("reference", "message"),
    [("#/components/schemas/Query", "goes in a circle"), ("parts.yaml#/Query", "bundle the document into one")],
)
def test_a_reference_that_leads_nowhere_is_named(reference: str, message: str) -> None:
    schemas = {**DOCUMENT["components"]["schemas"], "Query": {"$ref": reference}}

    with pytest.raises(SpecError, match=message):
        proposal(api(components={"schemas": schemas}))


def test_a_schema_that_holds_itself_is_not_followed_for_ever() -> None:
    schemas = copy.deepcopy(DOCUMENT["components"]["schemas"])
    schemas["Query"]["allOf"][1]["properties"]["filter"] = {"$ref": "#/components/schemas/Filter"}
    schemas["Query"]["allOf"][1]["required"].append("filter")
    schemas["Filter"] = {
        "type": "object",
        "required": ["and"],
        "properties": {"and": {"type": "array", "items": {"$ref": "#/components/schemas/Filter"}}},
    }

    found = proposal(api(components={**DOCUMENT["components"], "schemas": schemas}))

    assert found.body["filter"] == {"and": "{{ case.and }}"}


def test_a_server_without_address_is_asked_for() -> None:
    draft = draft_openapi(proposal(api(servers=[{"url": "/v2"}])), Wishes(name="shop", endpoint=None))

    assert any("put its address into api.endpoint" in words for words in draft.advice)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain text", "plain text"),
        ("no", '"no"'),
        ("a: b", '"a: b"'),
        ("1.5", '"1.5"'),
        ("", '""'),
        ([True, None, 1.5, "x"], "[true, null, 1.5, x]"),
        ({"a": ["{{ case.q }}"]}, '{a: ["{{ case.q }}"]}'),
    ],
)
def test_values_are_written_as_yaml(value: Any, text: str) -> None:
    assert scalar(value) == text


def test_names_that_clash_are_told_apart() -> None:
    schemas = copy.deepcopy(DOCUMENT["components"]["schemas"])
    schemas["Query"]["allOf"][1]["properties"]["lang"] = {"type": "string", "enum": ["en", "es"]}

    found = proposal(api(components={**DOCUMENT["components"], "schemas": schemas}))

    names = [knob.name for knob in found.knobs]
    assert len(names) == len(set(names))
    assert Knob(name="lang", values=("de", "fr"), default="de") in found.knobs
    assert found.body["lang"] == "{{ params.lang_2 }}"
