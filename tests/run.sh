#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs every test.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/prepare.sh"

require_packages "${build_packages[@]}"
build_targets all
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --output-log "$build/tests.log" "$@"

echo
echo "Cases and assertions by component; the log with every measured difference: $build/tests.log"
count() { # Catch2 2 ends a listing with the number of cases as its exit code
  { "$@" --list-test-names-only 2>/dev/null || true; } | sed '/^[[:space:]]*$/d' | wc -l
}
for program in "$build"/tests/*_test; do
  echo "  $(basename "$program" _test): $(count "$program") cases, of them $(count "$program" '[cuda]') for a GPU"
done
