#!/bin/sh
# What task gradients cost with LibMTL and torchjd: each in an environment of its own, on the rows that motet reads.
#
#     benchmarks/peers/task_gradients.sh [FOLDER]
#
# FOLDER (build/peers) keeps the environments for the next time. MOTET names the Python that has motet.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-build/peers}
motet=${MOTET:-.venv/bin/python}
mkdir -p "$folder"
"$motet" "$here/export_batches.py" "$folder/batches.npz" > "$folder/encoder"
encoder=$(tail -n 1 "$folder/encoder")
for peer in libmtl torchjd; do
    place="$folder/$peer"
    if [ ! -e "$place/ready" ]; then
        "$motet" -m venv "$place"
        # torch alone and first, so that no other package has a say in which build of it is taken
        "$place/bin/python" -m pip install --quiet torch==2.13.0
        case $peer in
            # without what it asks for: of that it uses torch and numpy here, and torchvision would bring another torch
            libmtl)
                "$place/bin/python" -m pip install --quiet --no-deps LibMTL==1.1.5
                "$place/bin/python" -m pip install --quiet transformers numpy
                ;;
            torchjd) "$place/bin/python" -m pip install --quiet torchjd==0.18.0 transformers ;;
        esac
        touch "$place/ready"
    fi
    "$place/bin/python" "$here/task_gradients.py" "$folder/batches.npz" "$encoder" --peer "$peer"
done
