"""Results that could not be written are told before the first call."""

from pathlib import Path

import pytest

from convergence_cluster.bootstrap.results_folder import require_writable
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.loading import LoadedStudy, loads


def study_writing_to(output: str) -> LoadedStudy:
    return loads(f"""\
api: {{name: x, endpoint: https://example.com}}
search_space: {{parameters: {{a: [1, 2]}}}}
evaluation: {{test_cases: [{{input: {{q: one}}}}], metrics: {{success_rate: 1}}}}
output: {output}
""")


def test_a_folder_that_can_be_made_is_accepted_and_not_made(tmp_path: Path) -> None:
    require_writable(study_writing_to(f"{{save_path: {tmp_path}/new/deep}}"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["taken", "taken/x", "taken/x/y", "dangling"])
def test_a_folder_that_cannot_be_made_is_told_at_its_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    place = tmp_path / path.partition("/")[0]

    with pytest.raises(SpecError) as caught:
        require_writable(study_writing_to(f"{{save_path: {tmp_path}/{path}}}"))

    told = f"study.yaml:4: output.save_path: {tmp_path}/{path}: {place} is not a folder; expected a folder that can be"
    assert str(caught.value).startswith(told)


def test_a_folder_on_the_command_line_goes_before_the_studys_own(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    study = study_writing_to(f"{{save_path: {tmp_path}/taken}}")

    require_writable(study, tmp_path / "free")

    with pytest.raises(SpecError, match=r"-o .*taken: .*taken is not a folder"):
        require_writable(study_writing_to("{save_path: free}"), tmp_path / "taken")


def test_where_the_best_configuration_goes_is_asked_too(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    export = (
        f"{{save_path: {tmp_path}, export_best_config: {{enabled: true, output_path: {tmp_path}/taken/best.json}}}}"
    )

    with pytest.raises(SpecError, match=r"study\.yaml:4: output\.export_best_config: .*taken is not a folder"):
        require_writable(study_writing_to(export))
