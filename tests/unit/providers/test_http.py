"""The transport's own arithmetic."""

import pytest

from convergence_cluster.providers.proxies import proxy_of


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://api.example.com/v1", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("http://api.example.com/v1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("http://api.example.com/v1", {"http_proxy": "http://p:2"}, "http://p:2"),
        ("https://api.example.com/v1", {"ALL_PROXY": "http://p:3"}, "http://p:3"),
        ("https://api.example.com/v1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, None),
        ("https://api.example.org/v1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, "http://p:1"),
        ("http://127.0.0.1:8000/v1", {"HTTP_PROXY": "http://p:1", "no_proxy": "localhost,127.0.0.1"}, None),
        ("https://api.example.com/v1", {"HTTPS_PROXY": "", "NO_PROXY": ""}, None),
        ("https://api.example.com/v1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://notexample.com/v1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example.com, "}, "http://p:1"),
    ],
)
def test_the_environment_names_the_proxy(url: str, environ: dict[str, str], expected: str | None) -> None:
    assert proxy_of(url, environ) == expected
