// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 (Salmon et al., SC 2011), a register of counters at once. Included once for each
// instruction set: see detail/simd/multiversion.inl.

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {
namespace philox {

/// Writes at least `count` words of the stream, up to the next multiple of `philox_padding`.
PIXMIM_TARGET inline void fill(const PhiloxStream& stream, int64_t count, uint32_t* words) {
  constexpr uint32_t factor_0 = 0xD2511F53;
  constexpr uint32_t factor_1 = 0xCD9E8D57;
  constexpr uint32_t key_step_0 = 0x9E3779B9;
  constexpr uint32_t key_step_1 = 0xBB67AE85;
  constexpr int rounds = 10;
  uint32_t block = stream.first_block;
  for (int64_t i = 0; i < count; i += 4 * Words::lanes, block += Words::lanes) {
    Words w0 = Words::block_numbers(block);
    Words w1 = Words::broadcast(stream.epoch);
    Words w2 = Words::broadcast(static_cast<uint32_t>(stream.index));
    Words w3 = Words::broadcast(static_cast<uint32_t>(stream.index >> 32));
    auto key_0 = static_cast<uint32_t>(stream.seed);
    auto key_1 = static_cast<uint32_t>(stream.seed >> 32);
    PIXMIM_UNROLL
    for (int round = 0; round < rounds; ++round) {
      Words low_0, high_0, low_1, high_1;
      Words::multiply(w0, factor_0, low_0, high_0);
      Words::multiply(w2, factor_1, low_1, high_1);
      w0 = high_1 ^ w1 ^ Words::broadcast(key_0);
      w1 = low_1;
      w2 = high_0 ^ w3 ^ Words::broadcast(key_1);
      w3 = low_0;
      key_0 += key_step_0;
      key_1 += key_step_1;
    }
    Words::store_blocks(w0, w1, w2, w3, words + i);
  }
}

}  // namespace philox
}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
