"""The codecs that the `compress` sandbox offers, with the parameters that each of them takes."""

import bz2
import lzma
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

STRATEGIES = MappingProxyType(
    {
        "default": zlib.Z_DEFAULT_STRATEGY,
        "filtered": zlib.Z_FILTERED,
        "huffman": zlib.Z_HUFFMAN_ONLY,
        "rle": zlib.Z_RLE,
        "fixed": zlib.Z_FIXED,
    }
)
GRID: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "codec": ("zlib", "bz2", "lzma"),
        "level": tuple(range(1, 10)),
        "window": (10, 12, 15),
        "strategy": tuple(STRATEGIES),
        "extreme": (False, True),
        "filter": ("none", "delta", "x86"),
    }
)
"""Values that a study may choose from; `window` may be any of 9 to 15."""
TAKES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "zlib": ("codec", "level", "window", "strategy"),
        "bz2": ("codec", "level"),
        "lzma": ("codec", "level", "extreme", "filter"),
    }
)


class RejectedParameterError(ValueError):
    """A parameter whose value, or whose presence beside this codec, makes no sense."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, kw_only=True, slots=True)
class Compression:
    """What one codec did to one file."""

    size_in: int
    size_out: int
    seconds: float
    """To compress, by the clock."""
    cpu_seconds: float
    """To compress, of this thread's processor time."""
    decompress_seconds: float
    verified: bool
    """The decompressed bytes equal the input."""


def checked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with their defaults.

    Raises:
        RejectedParameterError: names the first that cannot be.
    """
    codec = parameters.get("codec")
    if not isinstance(codec, str) or codec not in TAKES:
        raise RejectedParameterError("codec", f"codec {codec!r} is unknown; expected one of {', '.join(TAKES)}")
    for name in parameters:
        if name not in TAKES[codec]:
            raise RejectedParameterError(name, f"{codec} takes no {name}; expected {', '.join(TAKES[codec])}")
    given = {"level": 6, "window": 15, "strategy": "default", "extreme": False, "filter": "none"} | dict(parameters)
    _require("level", given["level"], range(1, 10))
    _require("window", given["window"], range(9, 16))
    _require("strategy", given["strategy"], tuple(STRATEGIES))
    _require("extreme", given["extreme"], (False, True))
    _require("filter", given["filter"], GRID["filter"])
    return given


def compress(parameters: Mapping[str, Any], content: bytes) -> Compression:
    """Compress and decompress, really. The codecs let other threads run meanwhile.

    Raises:
        RejectedParameterError: as `checked`.
    """
    given = checked(parameters)
    pack, unpack = _CODECS[given["codec"]](given)
    started_s, started_cpu_s = time.perf_counter(), time.thread_time()
    packed = pack(content)
    packed_s, packed_cpu_s = time.perf_counter(), time.thread_time()
    unpacked = unpack(packed)
    return Compression(
        size_in=len(content),
        size_out=len(packed),
        seconds=packed_s - started_s,
        cpu_seconds=packed_cpu_s - started_cpu_s,
        decompress_seconds=time.perf_counter() - packed_s,
        verified=unpacked == content,
    )


_Pair = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


def _zlib(given: Mapping[str, Any]) -> _Pair:
    def pack(content: bytes) -> bytes:
        strategy = STRATEGIES[given["strategy"]]
        packer = zlib.compressobj(given["level"], zlib.DEFLATED, given["window"], zlib.DEF_MEM_LEVEL, strategy)
        return packer.compress(content) + packer.flush()

    return pack, zlib.decompress


def _bz2(given: Mapping[str, Any]) -> _Pair:
    return lambda content: bz2.compress(content, given["level"]), bz2.decompress


def _lzma(given: Mapping[str, Any]) -> _Pair:
    before = {"none": [], "delta": [{"id": lzma.FILTER_DELTA, "dist": 1}], "x86": [{"id": lzma.FILTER_X86}]}
    preset = given["level"] | (lzma.PRESET_EXTREME if given["extreme"] else 0)
    filters = [*before[given["filter"]], {"id": lzma.FILTER_LZMA2, "preset": preset}]
    return lambda content: lzma.compress(content, filters=filters), lzma.decompress


_CODECS: Mapping[str, Callable[[Mapping[str, Any]], _Pair]] = {"zlib": _zlib, "bz2": _bz2, "lzma": _lzma}


def _require(name: str, value: Any, allowed: Any) -> None:
    is_flag = isinstance(value, bool)
    if is_flag != (name == "extreme") or value not in allowed:
        listed = ", ".join(map(str, allowed))
        raise RejectedParameterError(name, f"{name} {value!r} is not allowed; expected one of {listed}")
