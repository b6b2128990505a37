// SPDX-License-Identifier: Apache-2.0
// From an order of the tokens to a TokenMask: what every mask maker ends with.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <optional>

#include "pixmim/detail/check.hpp"
#include "pixmim/token_mask.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// Rank by increasing value along dimension 1, equal values by index.
inline at::Tensor stable_order(const at::Tensor& values) {
  return at::argsort(values, /*stable=*/true, /*dim=*/1, /*descending=*/false);
}

/// The inverse of each row's permutation.
inline at::Tensor inverse_order(const at::Tensor& order) {
  const at::Tensor positions = at::arange(order.size(1), order.options()).expand_as(order);
  return at::empty_like(order).scatter_(1, order, positions);
}

/// Keeps the first `kept` tokens of each row of `ids_shuffle` [N,L].
inline TokenMask keep_first(const at::Tensor& ids_shuffle, int64_t kept) {
  TokenMask result;
  result.ids_keep = ids_shuffle.narrow(1, 0, kept).contiguous();
  result.ids_restore = inverse_order(ids_shuffle);
  result.mask = result.ids_restore.ge(kept).to(at::kFloat);
  return result;
}

/// How many of `tokens` stay. MAE truncates in double: no rounding, no float32 ratio.
inline int64_t kept_tokens(int64_t tokens, double ratio) {
  return static_cast<int64_t>(static_cast<double>(tokens) * (1 - ratio));
}

inline void expect_batch(const char* caller, int64_t batch) {
  TORCH_CHECK(batch >= 0, caller, ": expected batch >= 0, got ", batch);
}

inline void expect_noise(const char* caller, const at::Tensor& noise) {
  expect_defined(caller, "noise", noise);
  TORCH_CHECK_TYPE(has_floating_dtype(noise), caller, ": expected noise of a floating dtype, got ",
                   noise.scalar_type());
  TORCH_CHECK(noise.dim() == 2 && noise.size(1) > 0, caller,
              ": expected noise of shape [N,L] with L > 0, got ", noise.sizes());
}

inline at::Tensor uniform_noise(const char* caller, int64_t batch, int64_t count,
                                const at::TensorOptions& options,
                                const std::optional<at::Generator>& generator) {
  expect_batch(caller, batch);
  const auto device = options.device();
  if (generator.has_value() && generator->defined()) {
    TORCH_CHECK(generator->device().type() == device.type(), caller,
                ": expected a generator on the device of the mask, ", device, ", got one on ",
                generator->device());
  }
  // float32 whatever the options say: a narrower dtype would make many values equal.
  return at::rand({batch, count}, generator, at::TensorOptions(device).dtype(at::kFloat));
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
