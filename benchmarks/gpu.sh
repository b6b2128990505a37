#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# This script has never run on a GPU. On a machine with one, in under 9 minutes on 16 cores: builds; runs the
# tests tagged [cuda], by LibTorch's operators and by our kernels; compute-sanitizer over the latter; the
# benchmarks by both; and says which engine should be the default.
#
#     benchmarks/gpu.sh [folder of the build] [folder of the results]
#
# Further options for CMake: PIXMIM_CMAKE_OPTIONS="-DCMAKE_PREFIX_PATH=..."
# Needs CMake, Ninja, a CUDA toolkit, Catch2 and Google Benchmark. What fails is listed at the end.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${1:-$source_dir/build}
results=${2:-$build_dir/gpu}
mkdir -p "$results"

failures=()
# step <name> <seconds> <command...>: its output goes to a file, the time it took is printed.
step() {
  local name=$1 limit=$2 begin=$SECONDS
  shift 2
  if timeout "$limit" "$@" > "$results/$name.txt" 2>&1; then
    echo "$name: $((SECONDS - begin)) s"
  else
    echo "$name: FAILED after $((SECONDS - begin)) s, see $results/$name.txt"
    tail -5 "$results/$name.txt"
    failures+=("$name")
  fi
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv | tee "$results/gpu.csv"
# shellcheck disable=SC2086  # several options in one variable
cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPIXMIM_EXAMPLES=OFF \
  ${PIXMIM_CMAKE_OPTIONS:-} > "$results/configure.txt"
benchmarks=(low_freq_target simple_resized_crop masking loss)
components=(low_freq_target crop masking patches_and_loss cuda_delivery)
cmake --build "$build_dir" --target "${benchmarks[@]/%/_bench}" "${components[@]/%/_test}" \
  > "$results/build.txt" || { tail -30 "$results/build.txt"; exit 1; }
echo "built after $SECONDS s"

# Compiled kernels are kept here, so that nothing of an earlier run is used.
export PIXMIM_CACHE_DIR=$results/kernels
for engine in operators fused; do
  export PIXMIM_CUDA_ENGINES=$engine
  for component in "${components[@]}"; do
    step "test_${component}_$engine" 60 "$build_dir/tests/${component}_test" "[cuda]"
  done
done

if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    for component in "${components[@]}"; do
      step "${tool}_$component" 60 compute-sanitizer --tool "$tool" --error-exitcode 1 \
        "$build_dir/tests/${component}_test" "[cuda]"
    done
  done
else
  echo "compute-sanitizer is not on PATH"
  failures+=("compute-sanitizer")
fi

# A row is checked against the reference formula before it is timed.
export PIXMIM_BENCH_DEVICE=cuda
for engine in operators fused; do
  export PIXMIM_CUDA_ENGINES=$engine
  for benchmark in "${benchmarks[@]}"; do
    step "bench_${benchmark}_$engine" 90 "$build_dir/benchmarks/${benchmark}_bench" \
      --benchmark_min_time=0.05 --benchmark_out_format=json \
      --benchmark_out="$results/${benchmark}_$engine.json"
  done
done
unset PIXMIM_CUDA_ENGINES
python3 "$source_dir/benchmarks/choose_engines.py" "$results" || failures+=("choose_engines")

echo "all: $SECONDS s; results in $results"
if ((${#failures[@]} > 0)); then
  echo "failed: ${failures[*]}"
  exit 1
fi
