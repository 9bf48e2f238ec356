#!/usr/bin/env bash
# Installs what building and running l2o needs on Debian 12, as root; packages that are there are not touched.
# With an argument: further packages.
set -euo pipefail

packages=(
    g++ cmake ninja-build ccache
    libboost-dev libboost-filesystem-dev libboost-iostreams-dev libboost-program-options-dev
    libeigen3-dev libfmt-dev nlohmann-json3-dev libpng-dev
    libtorch-dev libopenblas-pthread-dev # the reference BLAS multiplies 60 times slower
    gnuplot-nox # the figures of a report: 1 MB to download, 3 MB on disk
    dataset-fashion-mnist
    "$@"
)
missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
        missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages: ${missing[*]}" >&2
    echo "install them, or run this as root" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
