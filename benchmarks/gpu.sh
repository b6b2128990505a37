#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# This script has never run on a GPU. On a machine with one, in under 9 minutes after the build: runs the
# tests tagged [cuda] by LibTorch's operators, by our kernels and by cuFFT; the benchmarks by each; says which
# engine should be the default; and runs compute-sanitizer over our kernels with the time that is left.
#
#     benchmarks/gpu.sh [folder of the build] [folder of the results]
#
#     PIXMIM_CMAKE_OPTIONS="-DCMAKE_PREFIX_PATH=..."  further options for CMake
#     PIXMIM_GPU_BUILD=no                             takes the programs that are in the folder
#     PIXMIM_GPU_SECONDS=540                          what takes longer, without the build, is cut off, and told
#
# Needs a driver with nvidia-smi, a LibTorch with CUDA, its CUDA toolkit, g++, CMake, Ninja, Python 3, Catch2 and
# Google Benchmark (Debian and Ubuntu: catch2 libbenchmark-dev; downloaded if missing). What fails is listed at
# the end. docs/cuda.md reads the result.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${1:-$source_dir/build-gpu}
results=${2:-$build_dir/gpu}
seconds=${PIXMIM_GPU_SECONDS:-540}
mkdir -p "$results"
rm -f "$results"/*.failed

# step <name> <seconds> <command...>: its output goes to a file, the time it took is printed. Steps that no
# other one disturbs may be started with & and waited for.
step() {
  local name=$1 limit=$2 begin=$SECONDS left=$((seconds - SECONDS))
  shift 2
  if ((left <= 5)); then
    echo "$name: no time left" | tee "$results/$name.failed"
  elif timeout -k 5 $((left < limit ? left : limit)) "$@" > "$results/$name.txt" 2>&1; then
    echo "$name: $((SECONDS - begin)) s"
  else
    { echo "$name: FAILED after $((SECONDS - begin)) s, see $results/$name.txt"
      tail -5 "$results/$name.txt"; } | tee "$results/$name.failed"
  fi
}

# engines <component or benchmark>: those that it has.
engines() {
  case $1 in
    low_freq_target) echo operators fused cufft ;;
    *) echo operators fused ;;
  esac
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv | tee "$results/gpu.csv"
benchmarks=(low_freq_target simple_resized_crop masking loss)
components=(low_freq_target crop masking patches_and_loss cuda_delivery)
if [[ ${PIXMIM_GPU_BUILD:-yes} != no ]]; then
  # shellcheck disable=SC2086  # several options in one variable
  cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPIXMIM_EXAMPLES=OFF \
    ${PIXMIM_CMAKE_OPTIONS:-} > "$results/configure.txt"
  cmake --build "$build_dir" --target "${benchmarks[@]/%/_bench}" "${components[@]/%/_test}" \
    > "$results/build.txt" || { tail -30 "$results/build.txt"; exit 1; }
  echo "built after $SECONDS s"
fi
SECONDS=0

# Compiled kernels are kept here, so that nothing of an earlier run is used.
export PIXMIM_CACHE_DIR=$results/kernels
for component in "${components[@]}"; do
  for engine in $(engines "$component"); do
    PIXMIM_CUDA_ENGINES=$engine \
      step "test_${component}_$engine" 60 "$build_dir/tests/${component}_test" "[cuda]" &
  done
done
wait

# One at a time: these are clocked. A row is checked against the reference formula before. 20 calls are waited
# for at once, and a twentieth of their time counts: a row takes 20 times the least time given here, and more.
export PIXMIM_BENCH_DEVICE=cuda
for benchmark in "${benchmarks[@]}"; do
  for engine in $(engines "$benchmark"); do
    PIXMIM_CUDA_ENGINES=$engine \
      step "bench_${benchmark}_$engine" 60 "$build_dir/benchmarks/${benchmark}_bench" \
      --benchmark_min_time=0.0025 --benchmark_out_format=json \
      --benchmark_out="$results/${benchmark}_$engine.json"
  done
done
step choose_engines 10 python3 "$source_dir/benchmarks/choose_engines.py" "$results"
cat "$results/choose_engines.txt" 2> /dev/null || true

PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    for component in "${components[@]}"; do
      for engine in $(engines "$component"); do
        if [[ $engine != operators ]]; then
          # LibTorch's allocator keeps memory: neighbours would be within bounds, and blocks written before.
          # Without it nothing can be captured.
          PIXMIM_CUDA_ENGINES=$engine PYTORCH_NO_CUDA_MEMORY_CACHING=1 \
            step "${tool}_${component}_$engine" 90 compute-sanitizer --tool "$tool" --error-exitcode 1 \
            "$build_dir/tests/${component}_test" "[cuda]~*graph captures*" &
        fi
      done
    done
    wait
  done
else
  echo "compute-sanitizer: is not on PATH" | tee "$results/compute-sanitizer.failed"
fi

echo "all: $SECONDS s; results in $results"
if compgen -G "$results/*.failed" > /dev/null; then
  echo "failed:"
  head -qn 1 "$results"/*.failed
  exit 1
fi
