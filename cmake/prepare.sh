# SPDX-License-Identifier: Apache-2.0
# Sourced by examples/demo.sh and tests/run.sh: installs what is missing, and builds.
# shellcheck shell=bash

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${PIXMIM_BUILD:-$project/build}
build_packages=(g++ cmake ninja-build pkg-config python3 python3-venv
  catch2 libbenchmark-dev libcli11-dev libturbojpeg0-dev libspng-dev libarchive-dev libminizip-dev
  nlohmann-json3-dev libfftw3-dev)

fail() {
  echo "error: $*" >&2
  exit 1
}

# Installs the missing ones of the given Debian packages.
require_packages() {
  command -v dpkg-query >/dev/null ||
    fail "this script installs Debian packages; elsewhere install their like and run cmake (README.md): $*"
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  # A compiler or a CMake from elsewhere is as good.
  local wanted=()
  for package in "${missing[@]}"; do
    case $package in
      g++) command -v g++ >/dev/null || command -v clang++ >/dev/null || wanted+=("$package") ;;
      cmake) command -v cmake >/dev/null || wanted+=("$package") ;;
      ninja-build) command -v ninja >/dev/null || wanted+=("$package") ;;
      python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null || wanted+=("$package") ;;
      *) wanted+=("$package") ;;
    esac
  done
  [ ${#wanted[@]} -gt 0 ] || return 0

  echo "installing with apt-get: ${wanted[*]}"
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
      fail "not root, and these packages are missing: ${wanted[*]} (sudo apt-get install ${wanted[*]})"
    root=(sudo)
  fi
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${wanted[@]}" >"/tmp/pixmim-apt.$$" 2>&1 ||
    { "${root[@]}" apt-get update -qq >/dev/null 2>&1 &&
      "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${wanted[@]}" >"/tmp/pixmim-apt.$$" 2>&1; } ||
    { cat "/tmp/pixmim-apt.$$" >&2; fail "apt-get could not install ${wanted[*]}"; }
  rm -f "/tmp/pixmim-apt.$$"
}

# Configures once and builds the given targets.
build_targets() {
  if [ ! -f "$build/CMakeCache.txt" ]; then
    echo "configuring $build (LibTorch comes from pip if there is none; that takes a few minutes)"
  fi
  cmake -S "$project" -B "$build" -G Ninja >"$build.configure.log" 2>&1 ||
    { cat "$build.configure.log" >&2; fail "cmake could not configure $build"; }
  mv "$build.configure.log" "$build/configure.log"
  grep -h "pixmim:" "$build/configure.log" || true
  cmake --build "$build" --target "$@"
}
