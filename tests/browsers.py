"""A real browser to be driven from a test."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")


@contextmanager
def debugged_browser(profile: Path) -> Iterator[str]:
    """Start a browser and give the address of its debugger."""
    path = os.environ.get("CONVERGENCE_TEST_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        assert os.environ.get("CI") != "true", "a browser is expected; set CONVERGENCE_TEST_BROWSER"
        pytest.skip("no browser; set CONVERGENCE_TEST_BROWSER")
    command = [path, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            address = next(filter(None, (re.search(r"ws://\S+", line) for line in process.stderr)))
            yield address[0]
        finally:
            process.terminate()
            process.stderr.read()
