"""Tables that are made up, as the benchmark of searches reads them."""

from pathlib import Path

import numpy as np

from benchmarks.made_tables import SHAPES, main
from benchmarks.tables import read_table, table_names


def test_every_shape_is_a_table_that_can_be_read_and_the_seed_makes_it_again(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert main(["--out", str(tmp_path / folder)]) == 0
    assert main(["--out", str(tmp_path / "other"), "--seed", "7"]) == 0

    names = table_names(tmp_path / "one")
    assert len(names) == len(SHAPES)
    for name in names:
        first, again, other = (read_table(tmp_path / folder, name) for folder in ("one", "two", "other"))
        assert first.score.min() >= 0.0
        assert first.score.max() <= 1.0
        assert first.true_mean.std() > 0.0
        assert set(first.params) < set(first.columns)
        assert np.array_equal(first.score, again.score)
        assert not np.array_equal(first.score, other.score)
