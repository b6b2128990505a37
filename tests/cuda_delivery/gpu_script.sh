#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# benchmarks/gpu.sh with stand-ins for the GPU's tools and for what it would build: every step is started by
# its engine, what fails or does not end is told, and a choice is made.
#
#     gpu_script.sh <source folder> <scratch folder>
set -euo pipefail

source_dir=$1
scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch/bin" "$scratch/build/tests" "$scratch/build/benchmarks"

# stand_in <file>: a program made of the lines that come in.
stand_in() {
  { echo '#!/usr/bin/env bash'; cat; } > "$1"
  chmod +x "$1"
}
stand_in "$scratch/bin/nvidia-smi" <<< 'echo "name, driver_version"'
stand_in "$scratch/bin/compute-sanitizer" << 'LINES'
[[ $2 != synccheck ]] || sleep 600
[[ $2 != racecheck || $5 != *crop_test ]]
LINES
for component in low_freq_target crop masking patches_and_loss cuda_delivery; do
  stand_in "$scratch/build/tests/${component}_test" <<< 'echo "$PIXMIM_CUDA_ENGINES"'
done
for benchmark in low_freq_target simple_resized_crop masking loss; do
  stand_in "$scratch/build/benchmarks/${benchmark}_bench" << 'LINES'
declare -A times=([operators]=10 [fused]=9 [cufft]=8)
for argument; do
  case $argument in
    --benchmark_out=*)
      printf '{"benchmarks": [{"name": "a/b", "real_time": %s}, {"name": "a/reference", "real_time": 50}]}' \
        "${times[$PIXMIM_CUDA_ENGINES]}" > "${argument#*=}" ;;
  esac
done
LINES
done

expect() {
  grep -qF -- "$1" "$scratch/output.txt" || { echo "missing: $1"; cat "$scratch/output.txt"; exit 1; }
}
if PATH=$scratch/bin:$PATH PIXMIM_GPU_BUILD=no PIXMIM_GPU_SECONDS=15 \
  bash "$source_dir/benchmarks/gpu.sh" "$scratch/build" "$scratch/results" > "$scratch/output.txt" 2>&1; then
  echo "a failure is not told"
  exit 1
fi
expect 'test_low_freq_target_cufft: '
expect 'bench_loss_fused: '
expect 'target: cufft'
expect 'loss: fused'
expect 'fused takes 0.90 times as long as operators, of 1 rows'
expect 'memcheck_low_freq_target_fused: '
expect 'failed:'
expect 'racecheck_crop_fused: FAILED'
expect 'synccheck_masking_fused: FAILED after '
grep -qx cufft "$scratch/results/test_low_freq_target_cufft.txt"
grep -qx operators "$scratch/results/test_crop_operators.txt"
