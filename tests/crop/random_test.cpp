// SPDX-License-Identifier: Apache-2.0
// The random numbers behind windows and masks.
#include <ATen/core/PhiloxRNGEngine.h>
#include <pixmim/detail/random.hpp>

#include <array>
#include <set>

#include "support/catch.hpp"

namespace {

using pixmim::detail::KeyedBits;
using pixmim::detail::KeyedPurpose;

}  // namespace

TEST_CASE("the generator is Philox4x32-10", "[crop]") {
  // The known answers that Random123 publishes (tests/kat_vectors, philox4x32 10): counter, key, answer.
  struct Answer {
    uint64_t offset;
    uint64_t subsequence;
    uint64_t key;
    std::array<uint32_t, 4> numbers;
  };
  constexpr uint64_t ones = ~uint64_t{0};
  for (const Answer& answer :
       {Answer{0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        Answer{ones, ones, ones, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        Answer{0x85a308d3243f6a88,
               0x0370734413198a2e,
               0x299f31d0a4093822,
               {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}}) {
    at::philox_engine engine(answer.key, answer.subsequence, 0);
    engine.set_offset(answer.offset);
    for (const uint32_t number : answer.numbers) CHECK(engine() == number);
  }
  // Seed, index and epoch are its key and counter.
  KeyedBits bits(0, 0, 0, KeyedPurpose::Window);
  CHECK(bits() == 0x6627e8d5e169c58d);
  CHECK(bits.word() == 0xbc57ac4c);
  at::philox_engine engine(5, 6, 0);
  engine.set_offset(uint64_t{7} << 32 | uint64_t{1} << 31);
  CHECK(KeyedBits(5, 6, 7, KeyedPurpose::Mask).word() == engine());
}

TEST_CASE("streams of different keys are different", "[crop]") {
  std::set<uint64_t> first;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    for (uint64_t index = 0; index < 20; ++index) {
      for (uint64_t epoch = 0; epoch < 20; ++epoch) {
        first.insert(KeyedBits(seed, index, epoch, KeyedPurpose::Window)());
        first.insert(KeyedBits(seed, index, epoch, KeyedPurpose::Mask)());
      }
    }
  }
  CHECK(first.size() == 3 * 20 * 20 * 2);
}
