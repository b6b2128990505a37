// SPDX-License-Identifier: Apache-2.0
// Random numbers on the host, from a torch::Generator or from a key.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Generator.h>
#include <ATen/core/PhiloxRNGEngine.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

#include "pixmim/detail/rounded_product.hpp"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// 64 random bits a call, from a CPU generator that other threads may use too.
class GeneratorBits {
 public:
  GeneratorBits(const char* caller, const std::optional<at::Generator>& generator)
      : generator_(generator.has_value() && generator->defined()
                       ? *generator
                       : at::detail::getDefaultCPUGenerator()) {
    TORCH_CHECK(generator_.device().is_cpu(), caller,
                ": expected a generator on the CPU, which draws on the host, got one on ",
                generator_.device());
  }

  uint64_t operator()() {
    const std::lock_guard<std::mutex> lock(generator_.mutex());
    return generator_.get<at::CPUGeneratorImpl>()->random64();
  }

 private:
  at::Generator generator_;
};

/// What the bits of a sample are for: each purpose has a stream of its own.
enum class KeyedPurpose : uint64_t { Window = 0, Mask = 1 };

/// Random bits from Philox4x32-10 (Salmon et al., SC 2011) keyed by `seed`; streams of different
/// (index, epoch, purpose) never meet.
class KeyedBits {
 public:
  KeyedBits(uint64_t seed, uint64_t index, uint64_t epoch, KeyedPurpose purpose)
      : engine_(seed, index, 0) {
    TORCH_CHECK(epoch < uint64_t{1} << 32, "expected an epoch below 2^32, got ", epoch);
    // The counter's low half in blocks of four numbers: 2^32 of them an epoch, 2^31 a purpose.
    engine_.set_offset(epoch << 32 | static_cast<uint64_t>(purpose) << 31);
  }

  /// 32 bits.
  uint32_t word() { return engine_(); }

  /// 64 bits.
  uint64_t operator()() {
    const uint64_t high = word();
    return high << 32 | word();
  }

 private:
  at::philox_engine engine_;
};

/// Uniform in [low, high).
template <typename Bits>
double uniform(Bits& bits, double low, double high) {
  return low + rounded_product(high - low, static_cast<double>(bits() >> 11) * 0x1p-53);
}

/// Uniform over the integers 0 .. count-1, without bias.
template <typename Bits>
int64_t uniform_integer(Bits& bits, int64_t count) {
  const auto range = static_cast<uint64_t>(count);
  const uint64_t whole_ranges = std::numeric_limits<uint64_t>::max() / range * range;
  uint64_t value = bits();
  while (value >= whole_ranges) value = bits();
  return static_cast<int64_t>(value % range);
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
