// SPDX-License-Identifier: Apache-2.0
// The kernels that ship, and what each may take: compiled for every generation by the tests, which hold
// ptxas to these numbers. `kernel_resources` prints what they really take.
#pragma once

#include <string>
#include <vector>

namespace delivered {

struct Specialisation {
  /// As in pixmim::detail::cuda::Kernel.
  std::string file;
  std::string name;
  int shared_bytes;
  /// Of a thread.
  int max_registers;
  int max_spill_bytes = 0;
  int max_stack_bytes = 0;
  /// The compute capabilities that it is for.
  std::vector<int> capabilities = {80, 90, 100, 120};
};

inline std::vector<Specialisation> specialisations() {
  return {};
}

}  // namespace delivered
