#!/usr/bin/env bash
# Checks and measures this checkout on a machine with a GPU, Python, PyTorch and numba, without a network, in 8 minutes.
# Usage: [PYTHON=python3] benchmarks/gpu_check.sh [FOLDER_OF_WHEELS] [OPTIONS]
# FOLDER_OF_WHEELS has the packages that the machine lacks; `GPU_CHECK=3.12 tools/wheels.sh` fills dist/gpu_check with
# them. OPTIONS are those of `python -m benchmarks.gpu_check`. All it writes is in a folder that goes when it ends, but
# for kernels' cache and benchmarks/results/gpu_check.json (another folder with --out).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ $# -gt 0 && $1 != -* ]]; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$work/packages" "$1"/*.whl
    shift
fi
export PYTHONPATH=$root:$work/packages PYTHONUNBUFFERED=1
cd "$work"
timeout --signal=INT --kill-after=15 450 "$python" -m benchmarks.gpu_check "$@"
