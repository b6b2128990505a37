// SPDX-License-Identifier: Apache-2.0
// What the kernels that ship take of a GPU stays within what they may.
#include <pixmim/detail/cuda/kernel_sources.hpp>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cuda_delivery/delivered.hpp"
#include "cuda_delivery/specialisations.hpp"
#include "support/catch.hpp"
#include "support/cuda/kernel_resources.hpp"
#include "support/errors.hpp"

using namespace delivered;
using support::error_of;
using support::KernelResources;
using support::resources_of;

namespace {

/// What `resources` exceed; nothing if they fit.
std::string excess_of(const Specialisation& allowed, const KernelResources& resources,
                      int capability) {
  std::string excess;
  const auto compare = [&excess](const char* what, int value, int most) {
    if (value > most) {
      excess +=
          std::string(what) + " " + std::to_string(value) + " > " + std::to_string(most) + "; ";
    }
  };
  compare("registers", resources.registers, allowed.max_registers);
  compare("spill bytes", resources.spill_bytes, allowed.max_spill_bytes);
  compare("stack bytes", resources.stack_bytes, allowed.max_stack_bytes);
  compare("shared bytes", resources.shared_bytes + static_cast<int>(allowed.kernel.shared_bytes),
          support::shared_bytes_limit(capability));
  return excess;
}

}  // namespace

TEST_CASE("each kernel that ships compiles for its generations within its limits",
          "[cuda_delivery]") {
  const NvrtcCompiler shipped(nvrtc(), kernel_sources);
  struct Job {
    Specialisation specialisation;
    int capability;
    std::string problem;
  };
  std::vector<Job> jobs;
  std::set<std::string> files;
  for (const auto& specialisation : specialisations()) {
    files.insert(specialisation.kernel.file);
    for (const int capability : specialisation.capabilities) {
      jobs.push_back({specialisation, capability, ""});
    }
  }
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size(); i = next++) {
      auto& job = jobs[i];
      job.problem = error_of([&] {
        const auto excess = excess_of(
            job.specialisation, resources_of(shipped, job.specialisation.kernel, job.capability),
            job.capability);
        TORCH_CHECK(excess.empty(), excess);
      });
    }
  };
  std::vector<std::thread> threads(std::max(1u, std::thread::hardware_concurrency()));
  for (auto& thread : threads) {
    thread = std::thread(work);
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& job : jobs) {
    CAPTURE(job.specialisation.kernel.name, job.capability);
    CHECK(job.problem == "(no error)");
  }
  for (const auto& source : kernel_sources) {
    const bool has_kernels = std::string(source.text).find("\nPIXMIM_KERNEL(") != std::string::npos;
    CAPTURE(source.file);  // belongs into specialisations.hpp
    CHECK(has_kernels == (files.count(source.file) > 0));
  }
}

TEST_CASE("ptxas's account of a kernel is understood", "[cuda_delivery]") {
  for (const int capability : {80, 90, 100, 120}) {
    CAPTURE(capability);
    const auto plain = resources_of(*compiler(), scale, capability);
    CHECK(plain.registers > 0);
    CHECK(plain.registers < 64);
    CHECK(plain.spill_bytes == 0);
    CHECK(plain.stack_bytes == 0);
    CHECK(plain.shared_bytes < 2048);  // a kilobyte is the system's since 9.0
    CHECK(resources_of(*compiler(), {"kernels.cuh", "local_memory"}, capability).stack_bytes ==
          256);
    const auto spilling = resources_of(*compiler(), {"kernels.cuh", "spilling"}, capability);
    CHECK(spilling.registers <= 64);  // 1024 threads
    CHECK(spilling.spill_bytes > 0);
  }
  CHECK_THAT(error_of([] { resources_of("ptxas info", "scale"); }),
             ContainsSubstring("ptxas said nothing of scale"));
}

TEST_CASE("what exceeds its limits is told", "[cuda_delivery]") {
  const KernelResources resources{40, 8, 16, 1024};
  CHECK(excess_of({{"", "", 1024}, 40, 16, 8, {}}, resources, 90) == "");
  CHECK(excess_of({{"", "", 1024}, 39, 15, 7, {}}, resources, 90) ==
        "registers 40 > 39; spill bytes 16 > 15; stack bytes 8 > 7; ");
  CHECK(excess_of({{"", "", 99 * 1024}, 40, 16, 8, {}}, resources, 90) == "");
  CHECK(excess_of({{"", "", 99 * 1024}, 40, 16, 8, {}}, resources, 120) ==
        "shared bytes 102400 > 101376; ");
}
