"""Whether a process of this machine is still the one it was: numbers alone are used again."""

import os
from pathlib import Path

_START_TIME = 19
"""Index of `starttime` in /proc/PID/stat after the command's closing parenthesis.

Source: proc_pid_stat(5), field 22.
"""
_STATE = 0


def process_identity(pid: int) -> str:
    """Identify a running process by more than its number; empty where there is none, or only its remains."""
    if os.name != "posix":
        return str(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return str(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[_STATE] in {"Z", "X"} else f"{pid}@{fields[_START_TIME]}"
