#!/bin/sh
# Makes a virtual environment in .venv and installs tui-trainer into it.
#   sh install.sh        to train
#   sh install.sh dev    to work on tui-trainer and run its tests
# PYTHON names another interpreter; pip's own variables (PIP_EXTRA_INDEX_URL, PIP_CONSTRAINT) are honoured.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null 2>&1; then
    echo "error: no python: $python is not on PATH" >&2
    echo "hint: install Python 3.11 or newer, for example: apt-get install python3 python3-venv" >&2
    exit 3
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: python too old: $("$python" --version 2>&1), and tui-trainer needs 3.11 or newer" >&2
    echo "hint: PYTHON=python3.12 sh install.sh names another one" >&2
    exit 3
fi
# Bare Debian and Ubuntu ship Python without what venv needs.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    install="apt-get install -y --no-install-recommends $package"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "error: this Python has no venv module" >&2
        echo "hint: install your distribution's package for it" >&2
        exit 3
    elif [ "$(id -u)" = 0 ]; then
        apt-get update -q && DEBIAN_FRONTEND=noninteractive $install
    elif command -v sudo >/dev/null 2>&1; then
        echo "installing $package with sudo, since Debian's Python comes without it" >&2
        sudo apt-get update -q && sudo DEBIAN_FRONTEND=noninteractive $install
    else
        echo "error: $package is missing" >&2
        echo "hint: as root: $install" >&2
        exit 3
    fi
fi

# A .venv that was moved, or whose Python is gone, is made anew.
.venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
if [ "${1:-}" = dev ]; then
    .venv/bin/python -m pip install --quiet --editable '.[dev]'
else
    .venv/bin/python -m pip install --quiet .
fi
echo "tui-trainer is installed; .venv/bin/tui-train starts it"
