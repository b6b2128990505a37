// SPDX-License-Identifier: Apache-2.0
// Which engine serves on CUDA, and how the environment overrides it.
#include <pixmim/detail/cuda/default_engines.hpp>

#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/errors.hpp"

using pixmim::detail::cuda::chosen_engine;
using pixmim::detail::cuda::Component;
using pixmim::detail::cuda::cuda_engines;
using pixmim::detail::cuda::default_engine;
using pixmim::detail::cuda::Engine;

TEST_CASE("LibTorch's operators serve, since nothing else has run on a GPU", "[cuda_delivery]") {
  for (const auto component :
       {Component::Target, Component::Crop, Component::Masking, Component::Loss}) {
    CHECK(default_engine(component) == Engine::Operators);
    CHECK(chosen_engine(component, "") == Engine::Operators);
  }
}

TEST_CASE("an engine is chosen for all components that have it, or for one", "[cuda_delivery]") {
  CHECK(chosen_engine(Component::Target, "fused") == Engine::Fused);
  CHECK(chosen_engine(Component::Loss, "fused") == Engine::Fused);
  CHECK(chosen_engine(Component::Target, "fused,cufft") == Engine::Cufft);
  CHECK(chosen_engine(Component::Loss, "fused,cufft") == Engine::Fused);
  CHECK(chosen_engine(Component::Target, "fused,target=operators") == Engine::Operators);
  CHECK(chosen_engine(Component::Loss, "fused,target=operators") == Engine::Fused);
  CHECK(chosen_engine(Component::Crop, "fused") == Engine::Fused);
  CHECK(chosen_engine(Component::Loss, "target=cufft, loss=fused") == Engine::Fused);
  CHECK(chosen_engine(Component::Crop, "masking=fused") == Engine::Operators);
  CHECK(chosen_engine(Component::Masking, "fused,masking=operators") == Engine::Operators);
}

TEST_CASE("an engine that there is not is an error that lists those there are", "[cuda_delivery]") {
  for (const char* bad :
       {"fussed", "crop=fast", "fused,,", "images=fused", "target=", "loss=cufft"}) {
    const auto error = support::error_of([&] { chosen_engine(Component::Loss, bad); });
    CAPTURE(bad);
    CHECK_THAT(error, ContainsSubstring("PIXMIM_CUDA_ENGINES: expected words of"));
    for (const auto& row : cuda_engines) {
      CHECK_THAT(error, ContainsSubstring(std::string(row.component_name) + "=" + row.engine_name));
    }
  }
  CHECK_THAT(support::error_of([] { chosen_engine(Component::Loss, "fussed"); }),
             ContainsSubstring("got \"fussed\""));
}
