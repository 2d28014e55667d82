"""Processes that run for hours look for garbage seldom."""

import subprocess
import sys

_SCRIPT = """
import gc
from convergence_cluster.bootstrap.collecting import collect_seldom
collect_seldom()
print(gc.get_threshold()[0], gc.get_freeze_count() > 1_000, gc.isenabled())
class Ring:
    def __init__(self):
        self.me = self
    def __del__(self):
        found.append(1)
found = []
for _ in range(50_000):
    Ring()
print(len(found) > 0)
"""


def test_garbage_is_sought_seldom_and_found_still() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["20000", "True", "True", "True"]
