// SPDX-License-Identifier: Apache-2.0
// What a kernel takes of a multiprocessor, as ptxas says.
#pragma once

#include <c10/util/Exception.h>
#include <pixmim/detail/cuda/nvrtc_compiler.hpp>

#include <algorithm>
#include <regex>
#include <string>

namespace support {

struct KernelResources {
  int registers = 0;     ///< of a thread
  int stack_bytes = 0;   ///< of a thread: arrays that found no registers, and spills
  int spill_bytes = 0;   ///< of a thread, stored and loaded
  int shared_bytes = 0;  ///< of a block, apart from dynamic shared memory
};

/// Reads `log`, which ptxas wrote with -v; throws if it does not speak of `lowered_name`.
inline KernelResources resources_of(const std::string& log, const std::string& lowered_name) {
  const auto first = log.find("Compiling entry function '" + lowered_name + "'");
  TORCH_CHECK(first != std::string::npos, "ptxas said nothing of ", lowered_name, ":\n", log);
  const auto text = log.substr(first, log.find("Compiling entry function", first + 1) - first);
  const auto number = [&text](const char* pattern) {
    std::smatch match;
    return std::regex_search(text, match, std::regex(pattern)) ? std::stoi(match[1]) : -1;
  };
  KernelResources resources;
  resources.registers = number("Used (\\d+) registers");
  resources.stack_bytes = number("(\\d+) bytes stack frame");
  const int stored = number("(\\d+) bytes spill stores");
  const int loaded = number("(\\d+) bytes spill loads");
  TORCH_CHECK(resources.registers > 0 && resources.stack_bytes >= 0 && stored >= 0 && loaded >= 0,
              "ptxas speaks otherwise than expected:\n", text);
  resources.spill_bytes = stored + loaded;
  resources.shared_bytes = std::max(0, number("(\\d+) bytes smem"));
  return resources;
}

/// Compiles `kernel` for a compute capability.
inline KernelResources resources_of(const pixmim::detail::cuda::NvrtcCompiler& compiler,
                                    const pixmim::detail::cuda::Kernel& kernel, int capability) {
  std::string log;
  const auto compiled = compiler.compile(kernel, compiler.architecture(capability), &log);
  return resources_of(log, compiled.lowered_name);
}

/// The most shared memory of a block (CUDA Programming Guide, "Technical Specifications per Compute
/// Capability").
inline int shared_bytes_limit(int capability) {
  switch (capability) {
    case 80:
    case 87:
      return 163 * 1024;
    case 86:
    case 89:
    case 120:
    case 121:
      return 99 * 1024;
    default:
      return 227 * 1024;
  }
}

}  // namespace support
