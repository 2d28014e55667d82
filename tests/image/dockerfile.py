"""A Dockerfile as its stages and instructions: the part of the format that ours uses."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

_VARIABLE = re.compile(r"\$\{(\w+)(?::\+([^}]*))?\}|\$(\w+)")


class DockerfileError(Exception):
    """The file has something that is not modelled here."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One line that does something; continuation lines are joined."""

    name: str
    text: str

    def words(self) -> list[str]:
        """Return the arguments, from the exec form or from the shell's."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return shlex.split(self.text)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """From one FROM to the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction | None:
        """Return the instruction of a kind that counts: the last one."""
        return next((each for each in reversed(self.instructions) if each.name == name), None)

    def environment(self) -> dict[str, str]:
        """Return what ENV sets."""
        pairs = [word for each in self.instructions if each.name == "ENV" for word in each.words()]
        return dict(pair.split("=", 1) for pair in pairs)


def parse(text: str, arguments: Mapping[str, str] | None = None) -> list[Stage]:
    """Return the stages of a Dockerfile, its arguments before the first FROM filled in.

    Raises:
        DockerfileError: an instruction is not known here, or stands where it means nothing.
    """
    values: dict[str, str] = {}
    stages: list[Stage] = []
    for line in _lines(text):
        name, _, rest = line.partition(" ")
        match name:
            case "ARG" if not stages:
                key, _, default = rest.partition("=")
                values[key] = (arguments or {}).get(key, default)
            case "FROM":
                base, _, alias = expand(rest, values).partition(" AS ")
                stages.append(Stage(name=alias or str(len(stages)), base=base))
            case "RUN" | "COPY" | "ENV" | "WORKDIR" | "USER" | "ENTRYPOINT" | "CMD" | "HEALTHCHECK" if stages:
                stages[-1].instructions.append(Instruction(name=name, text=rest.strip()))
            case _:
                raise DockerfileError(f"{line[:60]!r}: not modelled here")
    return stages


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fill in `${NAME}`, `$NAME` and `${NAME:+text}`."""

    def one(match: re.Match[str]) -> str:
        name, instead = match[1] or match[3], match[2]
        value = values.get(name, "")
        if instead is None:
            return value
        return expand(instead, values) if value else ""

    return _VARIABLE.sub(one, text)


def _lines(text: str) -> list[str]:
    kept = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(kept))
    return joined.splitlines()
