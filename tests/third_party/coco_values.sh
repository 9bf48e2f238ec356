#!/usr/bin/env bash
# Builds examples/third_party/coco_bbob against an installed l2o, and runs a program that compares its values with those of
# COCO. Exit status 77: no sources of COCO are given (COCO_DIR).
#
#   coco_values.sh PREFIX PROJECT PROGRAM
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
plugins=$("$(dirname "$0")/build.sh" "$1" "$2" "$work") || exit $?
L2O_PLUGIN_PATH=$plugins "$3"
