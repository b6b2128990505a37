#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# This script has never run on a GPU. Builds, then runs the tests tagged [cuda], compute-sanitizer over
# them where it is installed, and the benchmarks on the GPU: benchmarks/gpu.sh [build folder]
# Further options for CMake: PIXMIM_CMAKE_OPTIONS="-DCMAKE_PREFIX_PATH=..."
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${1:-$source_dir/build}

nvidia-smi -L
# shellcheck disable=SC2086  # several options in one variable
cmake -S "$source_dir" -B "$build_dir" ${PIXMIM_CMAKE_OPTIONS:-}
cmake --build "$build_dir" --parallel

programs=()
for program in "$build_dir"/tests/*_test; do
  [[ -x $program && ! -d $program ]] || continue
  listed=$("$program" "[cuda]" --list-tests) || true  # some Catch2 exit with the number of tests
  if [[ $listed =~ [1-9][0-9]*\ matching ]]; then
    programs+=("$program")
  fi
done
if ((${#programs[@]} == 0)); then
  echo "gpu.sh: no program has a test tagged [cuda]" >&2
  exit 1
fi

for program in "${programs[@]}"; do
  echo "== $program"
  "$program" "[cuda]"
done

if command -v compute-sanitizer > /dev/null; then
  for program in "${programs[@]}"; do
    echo "== memcheck $program"
    compute-sanitizer --tool memcheck --error-exitcode 1 "$program" "[cuda]"
  done
else
  echo "gpu.sh: compute-sanitizer is not on PATH: no memcheck"
fi

PIXMIM_BENCH_DEVICE=cuda cmake --build "$build_dir" --target run_benchmarks
