// SPDX-License-Identifier: Apache-2.0
// Many words of a Philox stream at once: those that KeyedBits gives one by one.
#pragma once

#include <c10/util/Exception.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pixmim/detail/masking/words_portable.hpp"
#include "pixmim/detail/random.hpp"
#include "pixmim/detail/simd/instruction_set.hpp"
#if PIXMIM_X86_DISPATCH
#include "pixmim/detail/masking/words_avx2.hpp"
#include "pixmim/detail/masking/words_avx512.hpp"
#endif

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The counter and the key of `KeyedBits(seed, index, epoch, purpose)`.
struct PhiloxStream {
  uint64_t seed;
  uint64_t index;
  uint32_t epoch;
  uint32_t first_block;
};

inline PhiloxStream mask_stream(uint64_t seed, uint64_t index, uint32_t epoch) {
  return {seed, index, epoch, static_cast<uint32_t>(KeyedPurpose::Mask) << 31};
}

/// Words that the widest kernel writes at a time.
constexpr int64_t philox_padding = 64;

/// Room for `count` words.
inline std::vector<uint32_t> room_for_words(int64_t count) {
  return std::vector<uint32_t>(
      static_cast<std::size_t>((count + philox_padding - 1) / philox_padding * philox_padding));
}

}  // namespace detail
}  // namespace v0
}  // namespace pixmim

#define PIXMIM_KERNELS "pixmim/detail/masking/philox.inl"
#include "pixmim/detail/simd/multiversion.inl"

namespace pixmim {
inline namespace v0 {
namespace detail {

/// The first `count` words of the stream; `words` has room_for_words(count).
inline void philox_words(const PhiloxStream& stream, int64_t count, uint32_t* words) {
  PIXMIM_DISPATCH(philox::fill(stream, count, words));
}

/// The bits of a stream for `uniform` and `uniform_integer`, drawn ahead.
class PhiloxBits {
 public:
  explicit PhiloxBits(const PhiloxStream& stream) : stream_(stream) {}

  /// 64 bits.
  uint64_t operator()() {
    if (next_ == words_.size()) {
      philox_words(stream_, philox_padding, words_.data());
      stream_.first_block += philox_padding / 4;
      next_ = 0;
    }
    const uint64_t high = words_[next_++];
    return high << 32 | words_[next_++];
  }

 private:
  PhiloxStream stream_;
  std::array<uint32_t, philox_padding> words_;
  std::size_t next_ = philox_padding;
};

}  // namespace detail
}  // namespace v0
}  // namespace pixmim
