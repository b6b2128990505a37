// SPDX-License-Identifier: Apache-2.0
// Launches kernels of the tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/errors.hpp"
#include "support/simt/executor.hpp"

namespace simt_test {

using pixmim::detail::cuda::Argument;

struct Launch {
  std::string kernel;
  int64_t blocks = 1;
  int threads = 32;
  std::size_t shared_bytes = 0;
};

inline void run(simt::Executor& executor, const Launch& launch,
                const std::vector<Argument>& arguments) {
  executor.launch({"", launch.kernel, launch.shared_bytes}, {launch.blocks, launch.threads},
                  arguments);
}

/// What the executor says against it.
inline std::string fault_of(simt::Executor& executor, const Launch& launch,
                            const std::vector<Argument>& arguments) {
  return support::error_of([&] { run(executor, launch, arguments); });
}

}  // namespace simt_test
