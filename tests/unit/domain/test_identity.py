"""Identity of JSON values."""

import pytest

from convergence_cluster.domain.identity import canonical_json, digest


def test_equal_numbers_share_one_text_whatever_their_type() -> None:
    assert canonical_json({"b": 1.0, "a": [2, 0.5]}) == '{"a":[2,0.5],"b":1}'


def test_a_flag_is_not_a_number() -> None:
    assert digest({"stream": True}) != digest({"stream": 1})


@pytest.mark.parametrize("value", [None, "é", [], {}])
def test_a_digest_is_32_hexadecimal_digits(value: object) -> None:
    text = digest(value)

    assert len(text) == 32
    assert set(text) <= set("0123456789abcdef")
