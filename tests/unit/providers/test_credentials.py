"""Keys."""

import base64

import pytest

from convergence_cluster.domain.errors import ProviderStopError
from convergence_cluster.providers.credentials import Auth, AuthKind, resolve

ENVIRON = {"TOKEN": " sk-abc/123456\n", "PASS": "p@ss-word", "SHORT": "none", "BAD": "sk-\u00fc\n2", "EMPTY": " "}


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (Auth(), {}),
        (Auth(kind=AuthKind.BEARER, token_env="TOKEN"), {"Authorization": "Bearer sk-abc/123456"}),
        (Auth(kind=AuthKind.API_KEY, token_env="TOKEN"), {"x-api-key": "sk-abc/123456"}),
        (Auth(kind=AuthKind.API_KEY, token_env="TOKEN", header_name="api-key"), {"api-key": "sk-abc/123456"}),
        (
            Auth(kind=AuthKind.BASIC, username="me", password_env="PASS"),
            {"Authorization": f"Basic {base64.b64encode(b'me:p@ss-word').decode()}"},
        ),
    ],
)
def test_each_kind_has_its_header(auth: Auth, expected: dict[str, str]) -> None:
    assert resolve(auth, ENVIRON).headers == expected


@pytest.mark.parametrize("name", ["MISSING", "EMPTY", "BAD", None])
def test_a_key_that_cannot_be_sent_is_named_and_not_shown(name: str | None) -> None:
    with pytest.raises(ProviderStopError, match="environment variable") as caught:
        resolve(Auth(kind=AuthKind.BEARER, token_env=name), ENVIRON)

    assert "sk-" not in str(caught.value)


def test_every_form_of_a_key_is_removed() -> None:
    credentials = resolve(Auth(kind=AuthKind.BASIC, username="me", password_env="PASS"), ENVIRON)
    pair = base64.b64encode(b"me:p@ss-word").decode()
    quoted = resolve(Auth(kind=AuthKind.BEARER, token_env="K"), {"K": 'say"it"loud'})

    assert quoted.redact_bytes(b'{"x": "say\\"it\\"loud"}') == b'{"x": "[redacted]"}'
    assert credentials.redact(f"p@ss-word, p%40ss-word, {pair}.") == "[redacted], [redacted], [redacted]."
    assert credentials.redact_bytes(b"a p@ss-word b") == b"a [redacted] b"
    assert "p@ss" not in repr(credentials)


def test_a_word_that_serves_as_a_key_is_left_in_answers() -> None:
    credentials = resolve(Auth(kind=AuthKind.BEARER, token_env="SHORT"), ENVIRON)

    assert credentials.redact("none of it") == "none of it"
