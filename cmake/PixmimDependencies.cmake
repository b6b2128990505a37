# What tests, examples and benchmarks need beside LibTorch: the system's packages first, else a download.
# The library itself needs none of it.

include(FetchContent)
if(POLICY CMP0135)
  cmake_policy(SET CMP0135 NEW) # what is unpacked is as old as its download
endif()

# pixmim_require(<package> <url of a release>): find_package, else FetchContent.
macro(pixmim_require package url)
  find_package(${package} QUIET)
  if(NOT ${package}_FOUND)
    message(STATUS "pixmim: ${package} is not installed: downloading it")
    FetchContent_Declare(${package} URL ${url})
    FetchContent_MakeAvailable(${package})
  endif()
endmacro()

# pixmim_require_system(<target> <package to install> <pkg-config name>...): pkg-config, else an error.
function(pixmim_require_system target package)
  find_package(PkgConfig REQUIRED)
  pkg_search_module(${target} QUIET IMPORTED_TARGET GLOBAL ${ARGN})
  if(NOT ${target}_FOUND)
    message(FATAL_ERROR "the examples need ${target} (Debian and Ubuntu: apt-get install ${package}); "
                        "or configure with -DPIXMIM_EXAMPLES=OFF")
  endif()
endfunction()

if(PIXMIM_TESTS)
  pixmim_require(Catch2
    https://github.com/catchorg/Catch2/archive/refs/tags/v3.8.1.tar.gz)
endif()
if(PIXMIM_BENCHMARKS)
  set(BENCHMARK_ENABLE_TESTING OFF)
  pixmim_require(benchmark
    https://github.com/google/benchmark/archive/refs/tags/v1.9.4.tar.gz)
endif()
if(PIXMIM_EXAMPLES)
  pixmim_require(CLI11
    https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.5.0.tar.gz)
  pixmim_require_system(turbojpeg libturbojpeg0-dev libturbojpeg)
  pixmim_require_system(spng libspng-dev spng libspng)
  pixmim_require_system(libarchive libarchive-dev libarchive)
  pixmim_require_system(minizip libminizip-dev minizip)
  pixmim_require(nlohmann_json
    https://github.com/nlohmann/json/releases/download/v3.12.0/json.tar.xz)
  find_package(Threads REQUIRED)
endif()

# The warnings that our own programs are built with.
add_library(pixmim_warnings INTERFACE)
target_compile_options(pixmim_warnings INTERFACE
  $<$<CXX_COMPILER_ID:GNU,Clang,AppleClang>:-Wall -Wextra -Wconversion>)
