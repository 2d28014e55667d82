"""The `output` and `legacy` sections: what is written, and what later studies learn."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.section import IGNORED, LATER, OneOrMore, Section, Text

Chart = Literal["score_over_time", "parameter_importance", "pareto_front", "cost_vs_quality"]


class ExportBestConfig(Section):
    """The best configuration as a file to use."""

    enabled: bool = True
    """Whether to write it."""
    format: Literal["python", "json", "yaml", "env"] = "python"
    """What to write."""
    output_path: Text = "./best_config.py"
    """Where to, relative to the current directory."""


class OutputSection(Section):
    """What is written."""

    save_path: Text = "./results/optimization_run"
    """Folder of the results, relative to the current directory."""
    save_all_experiments: bool = Field(default=True, json_schema_extra=IGNORED)
    """Every call is always written."""
    save_answers: bool = True
    """Keep answers (cut to 4,000 characters) in the database and the reports."""
    formats: Annotated[tuple[Literal["json", "markdown", "csv", "html"], ...], OneOrMore] = (
        "json",
        "markdown",
        "csv",
        "html",
    )
    """Which reports to write."""
    visualizations: Annotated[tuple[Chart, ...], OneOrMore] = (
        "score_over_time",
        "parameter_importance",
        "pareto_front",
        "cost_vs_quality",
    )
    """Charts of the HTML report."""
    export_best_config: ExportBestConfig | None = None
    """The best configuration as a file to use. Default: not written."""


class LegacySection(Section):
    """What earlier studies of the same API learned, and what later ones will."""

    enabled: bool = True
    """Whether to start from earlier studies and to remember this one."""
    session_id: Text | None = None
    """Studies with the same id learn from each other. Default: `api.name`."""
    sqlite_path: Text | None = None
    """File of the memory, relative to the current directory. Default: under `.convergence/`."""
    export_dir: Text | None = Field(default=None, json_schema_extra=LATER)
    """`convergence legacy export` writes the files."""
    export_formats: tuple[Literal["winners_only", "full_audit", "csv", "json"], ...] = Field(
        default=(), json_schema_extra=LATER
    )
    """`winners_only`: the best configuration for each case. `full_audit`: every call. `csv` and `json` export both."""
    tracking_backend: Literal["builtin", "mlflow", "aim", "weave"] = Field(default="builtin", json_schema_extra=LATER)
    """Where runs are tracked besides."""
    mlflow_config: Mapping[str, Json] | None = Field(default=None, json_schema_extra=LATER)
    """Settings of MLflow."""
    aim_config: Mapping[str, Json] | None = Field(default=None, json_schema_extra=LATER)
    """Settings of Aim."""
    weave_config: Mapping[str, Json] | None = Field(default=None, json_schema_extra=LATER)
    """Settings of Weave."""
    storage_path: Text | None = Field(default=None, json_schema_extra=IGNORED)
    """`sqlite_path` names the file."""
