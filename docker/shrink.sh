#!/bin/sh
# Removes from an environment of the image what nothing in it uses: tests, headers and programs that packages bring.
#
# usage: docker/shrink.sh VENV
set -eu
cd "$1"/lib/python3*/site-packages

find . -type d \( -name tests -o -name test \) -path '*/*/*' -prune -exec rm -rf {} +
rm -rf torch/include torch/lib/*test* pyarrow/include
if [ -d torch/bin ]; then find torch/bin -type f ! -name torch_shm_manager -delete; fi

# Of SUMO's programs the simulation, its window and netconvert are used; of its data, schemas and projections.
rm -rf sumo/tools sumo/include sumo/lib64 sumo_data/data/proj
find sumo/bin -type f ! -name sumo ! -name sumo-gui ! -name netconvert -delete
for data in sumo/data sumo_data/data; do
  rm -rf "$data/po" "$data/locale" "$data/3D" "$data/tests"
done

"$1/bin/pip" uninstall --quiet --yes --root-user-action=ignore uv
"$1/bin/pip" check
