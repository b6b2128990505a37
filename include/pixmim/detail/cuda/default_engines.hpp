// SPDX-License-Identifier: Apache-2.0
// Which engine each component takes on CUDA.
#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace cuda {

enum class Component { Target, Crop, Masking, Loss };
enum class Engine {
  Operators,  ///< LibTorch's operators
  Fused,      ///< kernels of our own
  Cufft,      ///< plans of cuFFT, and kernels between them
};

struct ComponentEngine {
  Component component;
  Engine engine;
  const char* component_name;
  const char* engine_name;
};

/// All there are. The first of a component is its default: it gets there by a run of benchmarks/gpu.sh,
/// which is noted beside it (GPU, driver, versions, times).
inline constexpr ComponentEngine cuda_engines[] = {
    // No run yet: LibTorch's operators serve.
    {Component::Target, Engine::Operators, "target", "operators"},
    {Component::Target, Engine::Fused, "target", "fused"},
    {Component::Target, Engine::Cufft, "target", "cufft"},
    // No run yet.
    {Component::Crop, Engine::Operators, "crop", "operators"},
    {Component::Crop, Engine::Fused, "crop", "fused"},
    // No run yet.
    {Component::Masking, Engine::Operators, "masking", "operators"},
    {Component::Masking, Engine::Fused, "masking", "fused"},
    // No run yet.
    {Component::Loss, Engine::Operators, "loss", "operators"},
    {Component::Loss, Engine::Fused, "loss", "fused"},
};

inline Engine default_engine(Component component) {
  for (const auto& row : cuda_engines) {
    if (row.component == component) {
      return row.engine;
    }
  }
  return Engine::Operators;
}

/// What `choices` gives `component`: words with commas between, each "engine", for all components that
/// have it, or "component=engine". The last that fits counts.
inline Engine chosen_engine(Component component, const std::string& choices) {
  auto chosen = default_engine(component);
  std::istringstream words(choices);
  for (std::string word; std::getline(words, word, ',');) {
    word.erase(std::remove(word.begin(), word.end(), ' '), word.end());
    bool is_known = false;
    std::string known;
    for (const auto& row : cuda_engines) {
      const auto full = std::string(row.component_name) + "=" + row.engine_name;
      known += (known.empty() ? "" : ", ") + full;
      if (word == full || word == row.engine_name) {
        is_known = true;
        if (row.component == component) {
          chosen = row.engine;
        }
      }
    }
    TORCH_CHECK(is_known, "PIXMIM_CUDA_ENGINES: expected words of ", known,
                ", or an engine alone, with commas between, got \"", word, "\"");
  }
  return chosen;
}

/// The engine to take: of the environment's PIXMIM_CUDA_ENGINES (see chosen_engine(); for tests and
/// benchmarks), else the default.
inline Engine engine_on_cuda(Component component) {
  const char* choices = std::getenv("PIXMIM_CUDA_ENGINES");
  return choices == nullptr ? default_engine(component) : chosen_engine(component, choices);
}

}  // namespace cuda
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
