"""Which proxy the environment names for a URL."""

from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_of(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that HTTPS_PROXY or HTTP_PROXY (or the lower-case names) say for a URL, minding NO_PROXY."""
    parts = urlsplit(url)
    lowered = {name.lower(): value for name, value in environ.items() if value}
    host = f".{parts.hostname or ''}"
    direct = (name.strip().lower().lstrip(".") for name in lowered.get("no_proxy", "").split(","))
    if any(name == "*" or (name and host.endswith(f".{name}")) for name in direct):
        return None
    return lowered.get(f"{parts.scheme}_proxy") or lowered.get("all_proxy")
