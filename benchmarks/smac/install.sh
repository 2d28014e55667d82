#!/bin/sh
# Gives SMAC3 an environment of its own beside this file; its pins do not fit the product's.
set -eu
cd "$(dirname "$0")"
PYTHON="${PYTHON:-python3}"
if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --python "$PYTHON" .venv
    uv pip install --quiet --python .venv/bin/python -r requirements.txt
else
    "$PYTHON" -m venv .venv
    .venv/bin/python -m pip install --quiet -r requirements.txt
fi
.venv/bin/python -c "from importlib.metadata import version; print('SMAC3', version('smac'))"
