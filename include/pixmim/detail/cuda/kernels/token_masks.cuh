// SPDX-License-Identifier: Apache-2.0
// Masks of tokens: a block makes all of a sample, from the noise to the ids.
#pragma once

#include "dialect.cuh"
#include "mask_plan.cuh"

namespace pixmim {
namespace kernels {

/// A value that is sorted, and where it was: entries are ordered as a stable sort orders values.
PIXMIM_DEVICE uint64 sort_entry(uint32 value, int32 index) {
  return static_cast<uint64>(value) << 32 | static_cast<uint32>(index);
}
PIXMIM_DEVICE int32 index_of(uint64 entry) {
  return static_cast<int32>(entry & 0xffffffffu);
}

/// A number that is ordered as argsort orders `value`: -0 equals 0, and what is not a number equals its
/// like and comes last.
PIXMIM_DEVICE uint32 ordered_bits(float value) {
  if (value != value) return ~0u;
  constexpr uint32 sign = 1u << 31;
  const uint32 bits = float_bits(add(value, 0.0f));
  return (bits & sign) != 0 ? ~bits : bits | sign;
}

/// How many entries are sorted for `count`: a power of two, and at least two for each lane of a warp.
PIXMIM_DEVICE int32 padded_count(int32 count) {
  int32 padded = 64;
  while (padded < count) padded *= 2;
  return padded;
}

/// Sorts `count` entries, a power of two from 64 on, by Batcher's bitonic network; all threads of the block
/// take part, and find the entries sorted.
PIXMIM_DEVICE void sort_entries(Shared<uint64> entries, int32 count) {
  // Steps of up to 32 stay within the 64 entries of a warp, so that a warp need not wait for others.
  constexpr int32 widest_of_warp = 32;
  synchronize_block();
  for (int32 size = 2; size <= count; size *= 2) {
    for (int32 step = size / 2; step > 0; step /= 2) {
      for (int32 pair = thread_index(); pair < count / 2; pair += threads_a_block()) {
        const int32 low = 2 * pair - (pair & (step - 1));
        const int32 high = low + step;
        const uint64 first = entries[low];
        const uint64 second = entries[high];
        const bool ascending = (low & size) == 0;
        if ((first > second) == ascending) {
          entries[low] = second;
          entries[high] = first;
        }
      }
      const int32 next_step = step > 1 ? step / 2 : size;
      if (step > widest_of_warp || next_step > widest_of_warp) {
        synchronize_block();
      } else {
        synchronize_warp();
      }
    }
  }
}

// From ranks of units to what orders the tokens.

/// Units are tokens (MAE).
struct TokenUnits {
  static constexpr bool tokens_are_units = true;
};
/// The first tokens on the way through all blocks stay (LSMAE, Hiera).
struct BlockUnits {
  static constexpr bool tokens_are_units = false;
  static PIXMIM_DEVICE uint32 key(int32 rank, int32 y, int32 x, const MaskPlan& plan) {
    const int32 down = y % plan.block;
    const int32 right = x % plan.block;
    const int32 way = plan.by_rows ? down * plan.block + right : right * plan.block + down;
    return static_cast<uint32>(rank * plan.block * plan.block + way);
  }
};
/// Whole squares are masked; both kinds of tokens are in order of position (SimMIM).
struct SquareUnits {
  static constexpr bool tokens_are_units = false;
  static PIXMIM_DEVICE uint32 key(int32 rank, int32 /*y*/, int32 /*x*/, const MaskPlan& plan) {
    return rank < plan.hidden ? 1 : 0;
  }
};

/// The shared memory of a block: entries, then a place for each token.
struct MaskMemory {
  Shared<uint64> entries;
  Shared<uint16> places;
};
PIXMIM_DEVICE MaskMemory mask_memory(const MaskPlan& plan) {
  const int32 padded = padded_count(plan.tokens);
  return {shared_memory<uint64>(0, padded), shared_memory<uint16>(8 * padded, plan.tokens)};
}

/// Entries that come after all others.
PIXMIM_DEVICE void pad_entries(Shared<uint64> entries, int32 count) {
  for (int32 i = count + thread_index(); i < padded_count(count); i += threads_a_block()) {
    entries[i] = sort_entry(~0u, i);
  }
}

PIXMIM_DEVICE void write_places(const MaskMemory& memory, int32 count) {
  for (int32 place = thread_index(); place < count; place += threads_a_block()) {
    memory.places[index_of(memory.entries[place])] = static_cast<uint16>(place);
  }
  synchronize_block();
}

/// All of a sample, whose units' entries are there.
template <class Units>
PIXMIM_DEVICE void write_mask(const MaskMemory& memory, const MaskPlan& plan, Global<float> mask,
                              Global<int64> ids_keep, Global<int64> ids_restore) {
  const int64 sample = block_index();
  pad_entries(memory.entries, plan.units);
  sort_entries(memory.entries, padded_count(plan.units));
  write_places(memory, plan.units);
  if constexpr (!Units::tokens_are_units) {
    const int32 blocks_w = (plan.grid_w + plan.block - 1) / plan.block;
    for (int32 token = thread_index(); token < plan.tokens; token += threads_a_block()) {
      const int32 y = token / plan.grid_w;
      const int32 x = token - y * plan.grid_w;
      const int32 rank = memory.places[y / plan.block * blocks_w + x / plan.block];
      memory.entries[token] = sort_entry(Units::key(rank, y, x, plan), token);
    }
    pad_entries(memory.entries, plan.tokens);
    sort_entries(memory.entries, padded_count(plan.tokens));
    write_places(memory, plan.tokens);
  }
  for (int32 i = thread_index(); i < plan.tokens; i += threads_a_block()) {
    const int32 place = memory.places[i];
    mask[sample * plan.tokens + i] = place < plan.kept ? 0.0f : 1.0f;
    ids_restore[sample * plan.tokens + i] = place;
    if (i < plan.kept) ids_keep[sample * plan.kept + i] = index_of(memory.entries[i]);
  }
}

/// The masks of a noise [N,units]: a block a sample. Steps are in elements.
template <class Element, class Units>
PIXMIM_KERNEL(1024)
masks_of_noise(Global<const Element> noise, int64 sample_step, int64 step, MaskPlan plan,
               Global<float> mask, Global<int64> ids_keep, Global<int64> ids_restore) {
  const MaskMemory memory = mask_memory(plan);
  const Global<const Element> row = noise + block_index() * sample_step;
  for (int32 unit = thread_index(); unit < plan.units; unit += threads_a_block()) {
    memory.entries[unit] = sort_entry(ordered_bits(to_float(row[unit * step])), unit);
  }
  write_mask<Units>(memory, plan, mask, ids_keep, ids_restore);
}

/// Philox4x32-10 (Salmon et al., SC 2011): block `counter` of the stream `stream`.
struct PhiloxBlock {
  uint32 words[4];
};
PIXMIM_DEVICE PhiloxBlock philox_block(uint64 seed, uint32 stream, uint64 counter) {
  constexpr uint32 factor_0 = 0xD2511F53;
  constexpr uint32 factor_1 = 0xCD9E8D57;
  constexpr uint32 key_step_0 = 0x9E3779B9;
  constexpr uint32 key_step_1 = 0xBB67AE85;
  constexpr int32 rounds = 10;
  uint32 key_0 = static_cast<uint32>(seed & 0xffffffffu);
  uint32 key_1 = static_cast<uint32>(seed >> 32);
  uint32 w0 = static_cast<uint32>(counter & 0xffffffffu);
  uint32 w1 = static_cast<uint32>(counter >> 32);
  uint32 w2 = stream;
  uint32 w3 = 0;
  for (int32 round = 0; round < rounds; ++round) {
    const uint32 high_0 = multiply_high(w0, factor_0);
    const uint32 high_1 = multiply_high(w2, factor_1);
    const uint32 low_0 = w0 * factor_0;
    const uint32 low_1 = w2 * factor_1;
    w0 = high_1 ^ w1 ^ key_0;
    w1 = low_1;
    w2 = high_0 ^ w3 ^ key_1;
    w3 = low_0;
    key_0 += key_step_0;
    key_1 += key_step_1;
  }
  return {{w0, w1, w2, w3}};
}

/// Masks from the state of a generator: a block a sample, which draws from the stream of its number, from
/// word `offset` on (a multiple of 4). Where `seeds` and `offsets` are no null pointers, the seed is
/// there, and the offset is relative to the one there: so a captured graph draws anew each time it runs.
template <class Units>
PIXMIM_KERNEL(1024)
draw_masks(uint64 seed, uint64 offset, Global<const uint64> seeds, Global<const uint64> offsets,
           MaskPlan plan, Global<float> mask, Global<int64> ids_keep, Global<int64> ids_restore) {
  const MaskMemory memory = mask_memory(plan);
  if (seeds) seed = seeds[0];
  if (offsets) offset += offsets[0];
  const uint32 stream = static_cast<uint32>(block_index());
  for (int32 first = 4 * thread_index(); first < plan.units; first += 4 * threads_a_block()) {
    const uint64 counter = offset / 4 + static_cast<uint64>(first / 4);
    const PhiloxBlock block = philox_block(seed, stream, counter);
    for (int32 i = 0; i < 4; ++i) {
      if (first + i < plan.units) memory.entries[first + i] = sort_entry(block.words[i], first + i);
    }
  }
  write_mask<Units>(memory, plan, mask, ids_keep, ids_restore);
}

}  // namespace kernels
}  // namespace pixmim
