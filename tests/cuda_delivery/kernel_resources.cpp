// SPDX-License-Identifier: Apache-2.0
// Prints what kernels take of a GPU, as a table: kernel_resources [FILE "NAME"]
// Without arguments: all of specialisations.hpp.
#include <cuda_runtime_api.h>
#include <pixmim/detail/cuda/kernel_sources.hpp>

#include <cstdio>
#include <vector>

#include "cuda_delivery/specialisations.hpp"
#include "support/cuda/kernel_resources.hpp"

namespace cuda = pixmim::detail::cuda;

namespace {

void print_table(const std::vector<delivered::Specialisation>& specialisations) {
  const cuda::NvrtcCompiler compiler(cuda::load_nvrtc(cuda::nvrtc_names(CUDART_VERSION / 1000)),
                                     cuda::kernel_sources);
  std::puts(
      "| kernel | architecture | registers | spills, B | stack, B | static + dynamic shared, B |");
  std::puts("|---|---|---|---|---|---|");
  for (const auto& specialisation : specialisations) {
    for (const int capability : specialisation.capabilities) {
      const auto resources = support::resources_of(compiler, specialisation.kernel, capability);
      std::printf("| `%s` | sm_%d | %d | %d | %d | %d + %zu |\n",
                  specialisation.kernel.name.c_str(), capability, resources.registers,
                  resources.spill_bytes, resources.stack_bytes, resources.shared_bytes,
                  specialisation.kernel.shared_bytes);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 1 && count != 3) {
    std::fprintf(stderr, "usage: %s [FILE NAME], e.g. token_rows.cuh 'keep_rows<uint8>'\n",
                 arguments[0]);
    return 2;
  }
  try {
    print_table(count == 1 ? delivered::specialisations()
                           : std::vector<delivered::Specialisation>{
                                 {{arguments[1], arguments[2]}, 0, 0, 0, {80, 90, 100, 120}}});
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "%s\n", error.what_without_backtrace());
    return 1;
  }
}
