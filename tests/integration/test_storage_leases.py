"""Leases between real processes on one machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import Conflict
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.leases import Leases

HOLDER = """
import sys
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.leases import Leases
print(Leases(open_database(sys.argv[1])).claim("study", "first run", ttl_s=1e9, now_s=100.0), flush=True)
sys.stdin.read()
"""


def test_a_dead_process_is_replaced_at_once_and_a_living_one_is_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/convergence.db"
    database = open_database(url)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        with pytest.raises(Conflict, match=f"first run \\(process {holder.pid} on "):
            Leases(database).claim("study", "second run", ttl_s=30.0, now_s=101.0)
        holder.kill()

    assert Leases(database).claim("study", "second run", ttl_s=30.0, now_s=102.0) == 2
    database.close()
