#!/bin/sh
# Write what the image installs, each package with the hashes of its files: `make image-lock`.
#
# deploy/requirements.txt holds all but PyTorch and its CUDA libraries, which stand in
# deploy/requirements-torch.txt: a build for the CPU alone takes PyTorch from another index.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-uv}
lock() {
    "$uv" pip compile --quiet --no-header --no-annotate --no-emit-index-url --generate-hashes \
        --constraint constraints.txt --python-version 3.11 --python-platform x86_64-manylinux_2_28 "$@"
}
lock pyproject.toml --extra server --extra examples --extra postgres --output-file deploy/locked.tmp
awk '/^[^ ]/ { of_torch = /^(torch|triton|cuda-|nvidia-)/ && !/^nvidia-ml-py/ }
     { print > (of_torch ? "deploy/requirements-torch.txt" : "deploy/requirements.txt") }' deploy/locked.tmp
rm deploy/locked.tmp
printf 'hatchling\n' | lock - --output-file deploy/requirements-build.txt
