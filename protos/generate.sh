#!/usr/bin/env bash
# Generate the Python code of the protobuf contract, or with --check see that what is committed
# is just what would be generated. Needs grpcio-tools and mypy-protobuf on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

generate() { # generate INTO: the client's public messages and the worker pipe's private ones
  mkdir -p "$1/client" "$1/advisor"
  python -m grpc_tools.protoc -I protos \
    --python_out="$1/client" --mypy_out="quiet:$1/client" \
    protos/bsadvise/v1/*.proto
  python -m grpc_tools.protoc -I protos \
    --grpc_python_out="$1/client" --mypy_grpc_out="quiet:$1/client" \
    protos/bsadvise/v1/*_service.proto
  python -m grpc_tools.protoc -I protos \
    --python_out="$1" --mypy_out="quiet:$1" \
    protos/advisor/pipe/v1/*.proto
}

if [[ "${1:-}" == --check ]]; then
  fresh=$(mktemp -d)
  trap 'rm -rf "$fresh"' EXIT
  generate "$fresh"
  diff -r "$fresh/client/bsadvise/v1" client/bsadvise/v1 -x __pycache__ -x __init__.py &&
    diff -r "$fresh/advisor/pipe/v1" advisor/pipe/v1 -x __pycache__ -x __init__.py || {
    echo "The generated code is not what the contract says: run 'make proto'." >&2
    exit 1
  }
else
  rm -f client/bsadvise/v1/*_pb2* advisor/pipe/v1/*_pb2*
  generate .
fi
