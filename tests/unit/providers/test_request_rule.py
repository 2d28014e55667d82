"""Names and places of a request's fields."""

import json

import pytest

from convergence_cluster.providers.request_rule import MessageBuilder, RequestRule, camel, camel_aliases
from convergence_cluster.providers.templates import scope_of
from tests.unit.providers.fakes import request


@pytest.mark.parametrize(
    ("name", "expected"),
    [("max_age", "maxAge"), ("maxAge", "maxAge"), ("url", "url"), ("a_b_c", "aBC"), ("_private", "_private")],
)
def test_names_are_written_as_javascript_writes_them(name: str, expected: str) -> None:
    assert camel(name) == expected


def test_a_name_in_an_error_leads_back_to_the_parameter() -> None:
    assert camel_aliases({"max_age": 1, "url": "x"}) == {"maxAge": "max_age", "url": "url"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, {"page": "p", "level": 3}),
        ({"fixed": "{{ case.page }}", "level": 1}, {"fixed": "p", "level": 3}),
    ],
)
def test_a_vendors_merge_gets_the_body_or_the_case_overruled_by_the_configuration(
    body: object, expected: dict[str, object]
) -> None:
    rule = RequestRule(body=body, merge=lambda fields: ({"n": len(fields)}, dict(fields)))
    asked = request({"level": 3}, {"page": "p"})

    message = MessageBuilder("https://h/x", "POST", rule).build(scope_of(asked.configuration, asked.case))

    assert message.url == "https://h/x?n=2"
    assert message.content is not None
    assert json.loads(message.content) == expected
