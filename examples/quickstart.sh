#!/usr/bin/env bash
# From a fresh Debian 12 to trained optimizers: installs the packages, builds, and runs two experiments. Run it again at any
# time: what is there is kept, trained weights are found again.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== packages"
bash examples/install_debian_packages.sh
echo "== build"
cmake --preset release >/dev/null
cmake --build --preset release
l2o=build/release/bin/l2o
echo "== Fashion-MNIST: AdafacMLP, trained for this network, against tuned Adam"
"$l2o" run examples/experiments/fashion_mlp.info
echo "== sparse recovery: LISTA and ALISTA against ISTA and FISTA"
"$l2o" run examples/experiments/sparse_recovery.info
