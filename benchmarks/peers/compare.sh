#!/bin/sh
# motet and its peers side by side: real tokens a second, and quality at an equal budget of them.
#
#     benchmarks/peers/compare.sh [FOLDER] [OPTION...]
#
# FOLDER (build/peers) keeps an environment for every peer, made from the package registry, and all runs: the same
# command goes on after an interruption. Options are those of compare.py: --help lists them. MOTET names the Python that
# has motet. The table is printed at the end.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=build/peers
case ${1:-} in
    '' | -*) ;;
    *)
        folder=$1
        shift
        ;;
esac
motet=${MOTET:-.venv/bin/python}
case " $* " in *' --help '* | *' -h '*) exec "$motet" "$here/compare.py" --help ;; esac
mkdir -p "$folder"

# Brings a peer into its environment. torch comes alone and first, so that no other package has a say in which build of
# it is taken.
make_environment() {
    place="$folder/$1"
    [ -e "$place/bin/python" ] || "$motet" -m venv "$place"
    install="$place/bin/python -m pip --disable-pip-version-check --quiet install"
    $install torch==2.13.0
    case $1 in
        transformers) $install transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0 ;;
        sentence-transformers)
            $install sentence-transformers==6.2.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0
            ;;
        tasknet) $install tasknet==1.60 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0 ;;
        # without torchvision, which it asks for and which would bring another torch, and with scipy, which it forgets
        libmtl)
            $install --no-deps LibMTL==1.1.5
            $install transformers==5.23.0 numpy scipy
            ;;
        torchjd) $install 'torchjd[quadprog-projector]==0.18.0' transformers==5.23.0 ;;
    esac
    touch "$place/compared"
}

for peer in transformers sentence-transformers tasknet libmtl torchjd; do
    [ -e "$folder/$peer/compared" ] || (make_environment "$peer") || echo "$peer: no environment" >&2
done
exec "$motet" "$here/compare.py" "$folder" "$@"
