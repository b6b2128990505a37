// SPDX-License-Identifier: Apache-2.0
// The numbers that key what is drawn for the samples of a batch.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>

#include "pixmim/detail/check.hpp"
#include "pixmim/detail/masking/philox.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Numbers >= 0 on the CPU.
inline void expect_sample_numbers(const char* caller, const char* name, const at::Tensor& numbers) {
  expect_defined(caller, name, numbers);
  TORCH_CHECK(numbers.device().is_cpu(), caller, ": expected ", name, " on the CPU, got ",
              numbers.device());
  TORCH_CHECK_TYPE(numbers.scalar_type() == at::kLong, caller, ": expected ", name,
                   " of dtype int64, got ", numbers.scalar_type());
  TORCH_CHECK(numbers.numel() == 0 || numbers.min().item<int64_t>() >= 0, caller, ": expected ",
              name, " >= 0, got ", numbers.min().item<int64_t>());
}

/// seed, index [N] and epoch [N] or [], checked.
class SampleKeys {
 public:
  SampleKeys(const char* caller, const at::Tensor& index, const at::Tensor& epoch, uint64_t seed)
      : seed_(seed) {
    expect_sample_numbers(caller, "index", index);
    expect_sample_numbers(caller, "epoch", epoch);
    TORCH_CHECK(index.dim() == 1, caller, ": expected index of shape [N], got ", index.sizes());
    TORCH_CHECK(epoch.dim() == 0 || epoch.sizes() == index.sizes(), caller,
                ": expected epoch of the shape of index, ", index.sizes(), ", or [], got ",
                epoch.sizes());
    constexpr int64_t epochs_allowed = int64_t{1} << 32;
    TORCH_CHECK(epoch.numel() == 0 || epoch.max().item<int64_t>() < epochs_allowed, caller,
                ": expected an epoch below 2^32, got ", epoch.max().item<int64_t>());
    index_ = index.contiguous();
    epoch_ = epoch.expand(index.sizes()).contiguous();
  }

  int64_t samples() const { return index_.size(0); }

  PhiloxStream stream(int64_t sample) const {
    return mask_stream(seed_, static_cast<uint64_t>(index_.const_data_ptr<int64_t>()[sample]),
                       static_cast<uint32_t>(epoch_.const_data_ptr<int64_t>()[sample]));
  }

 private:
  at::Tensor index_;
  at::Tensor epoch_;
  uint64_t seed_;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
