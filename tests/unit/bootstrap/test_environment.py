"""Settings, `.env`, logs: what the process takes from outside, and what it lets out."""

import json
from pathlib import Path

import pytest
import structlog

from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.settings import read_settings
from convergence_cluster.telemetry import configure_logging, redactor


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=plain", "plain"),
        ("  export NAME = spaced  ", "spaced"),
        ("NAME='single # not a comment'", "single # not a comment"),
        ('NAME="double" # a comment', "double"),
        ("NAME=value # a comment", "value"),
        ("NAME=a#b", "a#b"),
        ("NAME=$HOME", "$HOME"),
        ("NAME=", ""),
        ("NAME=one\nNAME=two", "two"),
    ],
)
def test_a_line_of_env_sets_a_variable(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"# first\n\nnonsense\n{line}\n")

    assert read_environment(tmp_path, {}) == {"NAME": value}


def test_the_shell_goes_before_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file\n")

    assert read_environment(tmp_path, {"A": "shell", "C": "shell"}) == {"A": "shell", "B": "file", "C": "shell"}


def test_an_env_file_in_any_encoding_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=caf\xe9\nB=2\n")

    assert read_environment(tmp_path, {})["B"] == "2"


def test_settings_have_defaults_below_one_folder() -> None:
    settings = read_settings({})

    assert settings.database_url == "sqlite:///.convergence/convergence.db"
    assert settings.legacy_url == "sqlite:///.convergence/legacy.db"
    assert settings.log_level == "warning"
    assert read_settings({"CONVERGENCE_HOME": "/x"}).legacy_url == "sqlite:////x/legacy.db"


def test_a_log_level_that_is_none_is_refused() -> None:
    with pytest.raises(ConvergenceError, match="'loud'; expected one of debug, info, warning, error"):
        read_settings({"CONVERGENCE_LOG_LEVEL": "LOUD"})


def test_a_secret_is_redacted_by_its_exact_value_the_longest_first() -> None:
    redact = redactor(["secret", "secret-and-more", "abc"])

    assert redact("secret-and-more, secret, abc") == "[redacted], [redacted], abc"


def test_logs_are_json_lines_on_standard_error_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", redact=redactor(["hunter22"]))
    log = structlog.get_logger()

    log.info("lease.lost", study="s-1", why="hunter22 was wrong")
    log.debug("trial.told")
    structlog.reset_defaults()

    out, err = capsys.readouterr()
    (line,) = map(json.loads, err.splitlines())
    assert out == ""
    assert (line["event"], line["study"], line["why"]) == ("lease.lost", "s-1", "[redacted] was wrong")


def test_studies_on_a_server_leave_what_they_learned_there() -> None:
    server = "postgresql://u:p@db/convergence"

    assert read_settings({"CONVERGENCE_DATABASE_URL": server}).legacy_url == server
    elsewhere = read_settings({"CONVERGENCE_DATABASE_URL": server, "CONVERGENCE_LEGACY_PATH": "/x/l.db"})
    assert elsewhere.legacy_url == "sqlite:////x/l.db"
