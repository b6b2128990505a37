// SPDX-License-Identifier: Apache-2.0
// Starts Catch2, and says plainly when the tests of a GPU cannot run.
#include <ATen/Context.h>

#include <cstdio>

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

int main(int argc, char** argv) {
  if (!at::hasCUDA()) {
    std::fprintf(stderr, "[cuda] tests are skipped: this machine has no CUDA device\n");
  }
  return Catch::Session().run(argc, argv);
}
