#!/usr/bin/env bash
# Makes .venv-other-loops: packages whose loops take our loaders, beside those of .venv, whose imports they would slow.
# Lightning's second package is in a folder of its own, for Ray's classes would be of it where it is found.
set -euo pipefail
cd "$(dirname "$0")/.."
home=.venv-other-loops
site='import sysconfig; print(sysconfig.get_path("purelib"))'
.venv/bin/python -m venv --clear --without-pip "$home"
echo "import site; site.addsitedir('$(.venv/bin/python -c "$site")')" > "$("$home/bin/python" -c "$site")/beside.pth"
install=(.venv/bin/python -m pip --python "$home/bin/python" install --quiet)
"${install[@]}" transformers 'jsonargparse[signatures]' 'ray[train]'
"${install[@]}" --no-deps --target "$home/lightning" lightning
