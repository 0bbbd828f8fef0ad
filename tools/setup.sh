#!/usr/bin/env bash
# Prepares a checkout: system packages that FFCV is compiled with, .venv, and the package with its development tools.
# Usage: tools/setup.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."

is_suitable() { # a Python that is neither too old nor too new, with venv and headers
    "$1" -c 'import ensurepip, os, sys, sysconfig
assert (3, 11) <= sys.version_info < (3, 14)
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))' > /dev/null 2>&1
}

find_python() {
    local python
    for python in ${1:-python3.13 python3.12 python3.11 python3}; do
        if is_suitable "$python"; then
            echo "$python"
            return
        fi
    done
}

has_library() { # as the dynamic linker finds it
    { ldconfig -p 2> /dev/null || /sbin/ldconfig -p; } | grep -qF "$1"
}

missing=()
command -v g++ > /dev/null || missing+=(g++)
command -v pkg-config > /dev/null || missing+=(pkg-config)
pkg-config --exists opencv4 2> /dev/null || missing+=(libopencv-dev)
pkg-config --exists libturbojpeg 2> /dev/null || missing+=(libturbojpeg0-dev)
has_library libGL.so.1 || missing+=(libgl1)
has_library libglib-2.0.so.0 || missing+=(libglib2.0-0)
[[ -x .venv/bin/python || -n $(find_python "${1:-}") ]] || missing+=(python3-venv python3-dev)

if ((${#missing[@]})); then
    sudo=()
    ((EUID == 0)) || sudo=(sudo -n)
    if command -v apt-get > /dev/null && { ((EUID == 0)) || sudo -n true 2> /dev/null; }; then
        echo "installing system packages: ${missing[*]}"
        "${sudo[@]}" apt-get update -qq
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    else
        echo "missing system packages: ${missing[*]}; install them, such as by: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

if [[ ! -x .venv/bin/python ]]; then
    python=$(find_python "${1:-}")
    if [[ -z $python ]]; then
        echo "Python 3.11, 3.12 or 3.13 with venv and headers is missing; name one by: make setup PYTHON=PATH" >&2
        exit 1
    fi
    "$python" -m venv .venv
fi
.venv/bin/python -m pip install --quiet --upgrade pip
.venv/bin/python -m pip install --editable '.[dev]'
