"""Endpoints of studies that name a sandbox instead of a host: `sandbox://llm/v1/chat/completions?landscape=wide&seed=7`.

Host: the sandbox. Path: where the study's calls go. Query: options of the server, as on its command line.
"""

from urllib.parse import parse_qsl, urlsplit

SCHEME = "sandbox"
_NOT_FROM_A_STUDY = ("port", "truth", "top", "weights", "scales", "until-eof")


def is_endpoint(text: str) -> bool:
    """Say whether a text is an endpoint rather than the name of a sandbox."""
    return text.startswith(f"{SCHEME}://")


def arguments_of(endpoint: str) -> tuple[list[str], str]:
    """Return the server's command line and the path that an endpoint stands for.

    Raises:
        ValueError: an option is none that a study may set.
    """
    parts = urlsplit(endpoint)
    arguments = [parts.netloc]
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        option = name.replace("_", "-")
        if option in _NOT_FROM_A_STUDY or not option.replace("-", "").isalnum():
            raise ValueError(f"{name}: not an option of a sandbox in a study")
        arguments.append(f"--{option}={value}")
    return arguments, parts.path
