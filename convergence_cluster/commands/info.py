"""`convergence info`: what this is, where it keeps things, which versions it runs on."""

import argparse
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from convergence_cluster import __version__
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.settings import read_settings

_PACKAGES = ("optuna", "sqlalchemy", "pydantic", "httpx", "numpy")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: none."""
    del parser


def run(options: argparse.Namespace) -> int:
    """Print it."""
    del options
    settings = read_settings(read_environment(Path.cwd(), os.environ))
    print(f"convergence {__version__}: finds the best configuration of an API for as few paid calls as possible")
    print(f"  studies   {_without_password(settings.database_url)}")
    print(f"  legacy    {settings.legacy_path}")
    print(f"  cache     {settings.cache_path if settings.cache_mb else 'off'}")
    print(f"  python    {platform.python_version()}")
    print("  packages  " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    print("  runs in   this process")
    return 0


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", url)
