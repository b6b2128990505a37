// SPDX-License-Identifier: Apache-2.0
// The low-frequency target in one launch: pixels are read once, and the target written once.
//
// A block filters one channel at a time by four products on tensor cores with the basis of
// detail/low_freq/basis/folded_axis.hpp, folded once in each axis: sums of mirrored samples meet cosines,
// differences sines. Coefficients are 2 * waves in each axis, cosines first, then sines of the same
// frequencies.
//
//     along x    folded pixels x basis_x                warps share the rows; a row's mirror image with it
//     along y    basis_y x folded rows                  -> coefficients
//     gains      of each coefficient
//     back       basis_y^T x coefficients, x basis_x    warps share the rows; these pass in registers
//
// Half-precision operands, single-precision sums. A single-precision number is the sum of two
// half-precision ones, high and low, and a product three (the fourth, low x low, is below rounding).
//
// Contractions may take their terms in any order: within 16 samples, tables have sample 4q + b of b = 0, 1
// at place 2q + b and sample 4q + 2 + b at 8 + 2q + b, so that a lane's four numbers of a fragment
// are neighbours in memory.
#pragma once

#include "dialect.cuh"
#include "elements.cuh"
#include "low_pass_shape.cuh"

namespace pixmim {
namespace kernels {

/// In a row of pixels.
template <class T>
using FourPixels = Neighbours<T, 4>;

/// The sample at `place` of a group of 16.
PIXMIM_DEVICE int32 sample_at(int32 place) {
  return place < 8 ? place / 2 * 4 + place % 2 : (place - 8) / 2 * 4 + 2 + place % 2;
}

/// Two numbers as operands: `high` rounds them, `low` rounds what is left.
struct Operands {
  uint32 high;
  uint32 low;
};
PIXMIM_DEVICE Operands split(float first, float second) {
  const float16 first_high = round_to<float16>(first);
  const float16 second_high = round_to<float16>(second);
  return {pack(first_high, second_high), pack(round_to<float16>(first - to_float(first_high)),
                                              round_to<float16>(second - to_float(second_high)))};
}

/// A of a product, 16x16.
struct LeftFragment {
  uint32 high[4];
  uint32 low[4];

  PIXMIM_DEVICE void set(int32 i, float first, float second) {
    const Operands operands = split(first, second);
    high[i] = operands.high;
    low[i] = operands.low;
  }
  PIXMIM_DEVICE void negate() {
    PIXMIM_UNROLLED
    for (int32 i = 0; i < 4; ++i) {
      high[i] ^= 0x80008000u;
      low[i] ^= 0x80008000u;
    }
  }
};

/// B of two products side by side, 16x8 each.
struct RightFragments {
  uint32 high[4];
  uint32 low[4];
};

/// sums[0] and sums[1] += a x (the left and the right of b). Tensor cores cut off what does not fit; where
/// it matters they add 16 products at a time, the smallest first, and the sums are rounded.
template <bool exact>
PIXMIM_DEVICE void multiply_pair(float (&sums)[2][4], const LeftFragment& a,
                                 const RightFragments& b) {
  PIXMIM_UNROLLED
  for (int32 half = 0; half < 2; ++half) {
    const uint32 high[2] = {b.high[2 * half], b.high[2 * half + 1]};
    if (!exact) {
      multiply_accumulate(sums[half], a.high, high);
      continue;
    }
    const uint32 low[2] = {b.low[2 * half], b.low[2 * half + 1]};
    float products[4] = {};
    multiply_accumulate(products, a.low, high);
    multiply_accumulate(products, a.high, low);
    multiply_accumulate(products, a.high, high);
    PIXMIM_UNROLLED
    for (int32 i = 0; i < 4; ++i) sums[half][i] += products[i];
  }
}

/// A matrix of half-precision numbers in shared memory: high parts, and `low_offset` further on low parts.
template <int32 stride, int32 low_offset>
struct SplitMatrix {
  Shared<float16> numbers;

  PIXMIM_DEVICE Shared<const float16> at(int32 row, int32 column) const {
    return numbers + (row * stride + column);
  }
  PIXMIM_DEVICE void store_pair(int32 row, int32 column, float first, float second,
                                bool exact) const {
    const Operands operands = split(first, second);
    const auto place = numbers + (row * stride + column);
    *reinterpret<uint32>(place) = operands.high;
    if (exact) *reinterpret<uint32>(place + low_offset) = operands.low;
  }

  /// Rows first_row.. as rows of A, columns as its contraction.
  template <bool exact>
  PIXMIM_DEVICE LeftFragment left(int32 first_row, int32 first_column) const {
    const int32 lane = thread_index() % 32;
    const auto row = at(first_row + lane % 16, first_column + lane / 16 * 8);
    LeftFragment fragment;
    load_matrices(fragment.high, row);
    if (exact) load_matrices(fragment.low, row + low_offset);
    return fragment;
  }
  /// Columns first_column.. as rows of A, rows as its contraction.
  template <bool exact>
  PIXMIM_DEVICE LeftFragment left_transposed(int32 first_row, int32 first_column) const {
    const int32 lane = thread_index() % 32;
    const auto row = at(first_row + lane % 8 + lane / 16 * 8, first_column + lane / 8 % 2 * 8);
    LeftFragment fragment;
    load_matrices_transposed(fragment.high, row);
    if (exact) load_matrices_transposed(fragment.low, row + low_offset);
    return fragment;
  }
  /// Rows first_row.. (16 of them) as columns of B, columns as its contraction.
  template <bool exact>
  PIXMIM_DEVICE RightFragments right(int32 first_row, int32 first_column) const {
    const int32 lane = thread_index() % 32;
    const auto row = at(first_row + lane % 8 + lane / 16 * 8, first_column + lane / 8 % 2 * 8);
    RightFragments fragments;
    load_matrices(fragments.high, row);
    if (exact) load_matrices(fragments.low, row + low_offset);
    return fragments;
  }
  /// Columns first_column.. (16 of them) as columns of B, rows as its contraction.
  template <bool exact>
  PIXMIM_DEVICE RightFragments right_transposed(int32 first_row, int32 first_column) const {
    const int32 lane = thread_index() % 32;
    const auto row = at(first_row + lane % 16, first_column + lane / 16 * 8);
    RightFragments fragments;
    load_matrices_transposed(fragments.high, row);
    if (exact) load_matrices_transposed(fragments.low, row + low_offset);
    return fragments;
  }
};

/// What becomes of a filtered channel: scale * (real + constant) + shift, or with the magnitude in place of
/// the bracket. Images have `channels` of these, one after another.
struct Epilogue {
  float constant;
  float scale;
  float shift;
};

/// A power of two that brings numbers up to `largest` near 1, for half precision; 1 if they are there.
PIXMIM_DEVICE float scale_for(float largest) {
  const bool fits = largest >= 0.0625f && largest < 128.0f;
  if (fits || largest == 0 || !(largest <= 3.0e38f)) return 1;
  const uint32 exponent = float_bits(largest) & 0x7f800000u;
  const uint32 inverse = 0x7f000000u - exponent;
  return float_of_bits(inverse > 0x7e800000u   ? 0x7e800000u
                       : inverse < 0x00800000u ? 0x00800000u
                                               : inverse);
}

/// Filtered channels in the layout of images: `targets` [channels of all images, height, width].
template <int32 height, int32 width, class Output>
struct ImageTarget {
  Global<Output> targets;

  PIXMIM_DEVICE ImageTarget of_channel(int64 channel) const {
    return {targets + channel * (height * width)};
  }
  /// Whether anything is kept of the samples that store() is given.
  PIXMIM_DEVICE bool needs(int32 /*step*/, bool /*mirrored*/) { return true; }
  /// `value_of(i, sign)`: sample 4 * quad + i of 16 columns of a row, or with -1 its mirror image.
  template <class ValueOf>
  PIXMIM_DEVICE void store(int32 step, bool mirrored, int32 half, const ValueOf& value_of) const {
    const int32 lane = thread_index() % 32;
    const int32 y = 16 * (thread_index() / 32) + sample_at(lane / 4 + 8 * half);
    const int32 x = 16 * step + 4 * (lane % 4);
    const auto row = targets + (mirrored ? height - 1 - y : y) * width;
    FourPixels<Output> left;
    FourPixels<Output> right;
    PIXMIM_UNROLLED
    for (int32 i = 0; i < 4; ++i) {
      left.values[i] = round_to<Output>(value_of(i, 1.0f));
      right.values[3 - i] = round_to<Output>(value_of(i, -1.0f));
    }
    reinterpret<FourPixels<Output>>(row + x)[0] = left;
    reinterpret<FourPixels<Output>>(row + (width - 4 - x))[0] = right;
  }
};

/// Lanes whose numbers differ in `lane_bit` exchange half of theirs: the bit of the lane becomes that of the
/// number, and the other way around.
PIXMIM_DEVICE void exchange(float (&numbers)[4], int32 lane_bit, int32 number_bit) {
  const bool upper = (thread_index() & lane_bit) != 0;
  PIXMIM_UNROLLED
  for (int32 i = 0; i < 4; ++i) {
    if ((i & number_bit) != 0) continue;
    const float other = shuffle_xor(upper ? numbers[i] : numbers[i + number_bit], lane_bit);
    if (upper) {
      numbers[i] = other;
    } else {
      numbers[i + number_bit] = other;
    }
  }
}

/// Filtered channels in the layout of patches, where `mask` is not 0: `targets` [images, patches,
/// patch_size * patch_size * channels], inside a patch row by row, a pixel's channels side by side; `mask`
/// [images, patches]. Other patches get zeros.
///
/// A channel is every `channels`-th number of a patch, a part of each 32 bytes that L2 knows: the blocks of
/// the other channels, which are the next ones, write the rest at about the same time. So that a store
/// touches few of those 32 bytes, lanes exchange numbers until eight neighbours in a row hold eight
/// neighbours.
template <int32 height, int32 width, class Output, int32 patch_size>
struct PatchTarget {
  static constexpr int32 patches = height / patch_size * (width / patch_size);

  Global<Output> targets;
  Global<const uint8> mask;
  bool has_mask;
  int32 channels;
  /// Bit 8 * half + 4 * is_mirror + i: of number i in store().
  uint32 needed;

  PIXMIM_DEVICE PatchTarget of_channel(int64 channel) const {
    const int64 image = channel / channels;
    const int32 first = static_cast<int32>(channel % channels);
    const auto of_image = targets + image * channels * (height * width);
    const auto mask_of_image = has_mask ? mask + image * patches : mask;
    if (has_mask) fill_others(of_image, mask_of_image, first);
    return {of_image + first, mask_of_image, has_mask, channels, 0xffffu};
  }
  PIXMIM_DEVICE bool needs(int32 step, bool mirrored) {
    if (!has_mask) return true;
    needed = 0;
    PIXMIM_UNROLLED
    for (int32 number = 0; number < 16; ++number) {
      const Pixel pixel = pixel_of(step, mirrored, number / 8, number % 8 >= 4, number % 4);
      if (mask[pixel.patch()] != 0) needed |= 1u << number;
    }
    return ballot(needed != 0) != 0;
  }
  template <class ValueOf>
  PIXMIM_DEVICE void store(int32 step, bool mirrored, int32 half, const ValueOf& value_of) const {
    PIXMIM_UNROLLED
    for (int32 side = 0; side < 2; ++side) {
      float numbers[4];
      PIXMIM_UNROLLED
      for (int32 i = 0; i < 4; ++i) numbers[i] = value_of(i, side == 0 ? 1.0f : -1.0f);
      // Number i of a lane was 4 * (lane % 4) + i in row lane / 4.
      exchange(numbers, 2, 2);
      exchange(numbers, 1, 1);
      exchange(numbers, 4, 1);
      PIXMIM_UNROLLED
      for (int32 i = 0; i < 4; ++i) {
        if ((needed >> (8 * half + 4 * side + i) & 1u) == 0) continue;
        const int64 place = pixel_of(step, mirrored, half, side == 1, i).place();
        targets[place * channels] = round_to<Output>(numbers[i]);
      }
    }
  }

 private:
  struct Pixel {
    uint32 y;
    uint32 x;

    PIXMIM_DEVICE uint32 patch() const { return y / side * (width / side) + x / side; }
    /// In an image of one channel.
    PIXMIM_DEVICE uint32 place() const {
      return y / side * (width * side) + y % side * side + x / side * (side * side) + x % side;
    }

   private:
    static constexpr uint32 side = patch_size;
  };

  PIXMIM_DEVICE static Pixel pixel_of(int32 step, bool mirrored, int32 half, bool is_mirror,
                                      int32 i) {
    const int32 lane = thread_index() % 32;
    const int32 y = 16 * (thread_index() / 32) + sample_at(lane / 8 * 2 + i % 2 + 8 * half);
    const int32 x = 16 * step + i / 2 * 8 + lane % 8;
    return {static_cast<uint32>(mirrored ? height - 1 - y : y),
            static_cast<uint32>(is_mirror ? width - 1 - x : x)};
  }

  /// The blocks of an image's channels share its patches.
  PIXMIM_DEVICE void fill_others(Global<Output> of_image, Global<const uint8> mask_of_image,
                                 int32 first) const {
    const int32 numbers = patch_size * patch_size * channels;
    const int32 warp = thread_index() / 32;
    for (int32 patch = first + channels * warp; patch < patches;
         patch += channels * (height / 32)) {
      if (mask_of_image[patch] != 0) continue;
      const auto to = of_image + static_cast<int64>(patch) * numbers;
      for (int32 i = thread_index() % 32; i < numbers; i += 32) to[i] = round_to<Output>(0.0f);
    }
  }
};

/// `images` [channel_count, height, width]; `basis_y` and `basis_x` as shared memory has them, high parts
/// and (if `exact`) low parts; `gains` [2 * waves, 2 * waves], or with four numbers each (WaveGains) where
/// `magnitude` is taken; `epilogues` [epilogue_count], one after another for the channels of an image.
template <int32 height, int32 width, int32 waves, class Input, bool exact, bool magnitude,
          class Target>
PIXMIM_DEVICE void filter_channels(Global<const Input> images, int64 channel_count,
                                   Global<const Vector16> basis_y, Global<const Vector16> basis_x,
                                   Global<const float> gains, Global<const Epilogue> epilogues,
                                   int32 epilogue_count, const Target& targets) {
  constexpr LowPassShape shape(height, width, waves, exact, magnitude);
  constexpr int32 warps = shape.warps;
  constexpr int32 raw_stride = shape.raw_stride;
  constexpr bool bytes = sizeof(Input) == 1;
  constexpr int32 tiles = waves / 8;
  constexpr int32 both = 2 * waves;
  const int32 warp = thread_index() / 32;
  const int32 lane = thread_index() % 32;
  const int32 group = lane / 4;
  const int32 quad = lane % 4;

  const auto load_basis = [&](Global<const Vector16> table, int32 offset, int32 size) {
    const auto to = shared_memory<Vector16>(offset, size / 16);
    for (int32 i = thread_index(); i < size / 16; i += threads_a_block()) {
      const Vector16 numbers = table[i];
      to[i] = numbers;
    }
  };
  load_basis(basis_y, 0, shape.basis_y_bytes);
  if (height != width) load_basis(basis_x, shape.basis_x_offset, shape.basis_x_bytes);
  const SplitMatrix<shape.stride_y, shape.basis_y_numbers> along_y = {
      shared_memory<float16>(0, shape.basis_y_bytes / 2)};
  const SplitMatrix<shape.stride_x, shape.basis_x_numbers> along_x = {
      height == width ? along_y.numbers
                      : shared_memory<float16>(shape.basis_x_offset, shape.basis_x_bytes / 2)};
  const SplitMatrix<shape.row_stride, shape.row_numbers> rows = {
      shared_memory<float16>(shape.work_offset, shape.row_bytes / 2)};
  using Coefficients = SplitMatrix<shape.row_stride, shape.coefficient_numbers>;
  const Coefficients real_part = {
      shared_memory<float16>(shape.work_offset, shape.coefficient_bytes / 2)};
  const Coefficients imaginary_part = {
      shared_memory<float16>(shape.second_offset, shape.second_bytes / 2)};
  const auto raw = shared_memory<float>(shape.second_offset, shape.raw_bytes / 4);
  const auto largest_of_warp = shared_memory<float>(shape.largest_offset, shape.warps);

  for (int64 channel = block_index(); channel < channel_count; channel += block_count()) {
    const auto image = images + channel * (height * width);
    // The basis is there, and the last channel's coefficients are read.
    synchronize_block();

    // Along x, and folded in y: rows of one tile and their mirror images.
    const Epilogue epilogue = epilogues[channel % epilogue_count];
    float scale = bytes ? 1.0f / 128 : 1.0f;
    float inverse_scale = bytes ? 128.0f : 1.0f;
    PIXMIM_ROLLED
    for (int32 attempt = 0; attempt < 2; ++attempt) {
      // [even or odd in y][cosines or sines in x]
      float sums[2][2][tiles / 2][2][4] = {};
      float largest = 0;
      PIXMIM_ROLLED
      for (int32 step = 0; step < width / 32; ++step) {
        const int32 x = 16 * step + 4 * quad;
        LeftFragment folded[2][2];
        PIXMIM_UNROLLED
        for (int32 half = 0; half < 2; ++half) {
          const int32 y = 16 * warp + sample_at(group + 8 * half);
          const auto direct = image + y * width;
          const auto mirrored = image + (height - 1 - y) * width;
          const auto pixels = [&](Global<const Input> row, int32 column) -> FourPixels<Input> {
            return reinterpret<const FourPixels<Input>>(row + column)[0];
          };
          const FourPixels<Input> corners[2][2] = {
              {pixels(direct, x), pixels(direct, width - 4 - x)},
              {pixels(mirrored, x), pixels(mirrored, width - 4 - x)}};
          float values[2][2][4];
          PIXMIM_UNROLLED
          for (int32 i = 0; i < 4; ++i) {
            const auto value = [&](int32 mirrored_y, int32 mirrored_x) {
              const Input pixel =
                  corners[mirrored_y][mirrored_x].values[mirrored_x == 1 ? 3 - i : i];
              return (bytes ? to_float(pixel) - 128.0f : to_float(pixel)) * scale;
            };
            const float a = value(0, 0);
            const float b = value(0, 1);
            const float c = value(1, 0);
            const float d = value(1, 1);
            if (!bytes) {
              largest =
                  larger(larger(larger(largest, absolute(a)), larger(absolute(b), absolute(c))),
                         absolute(d));
            }
            values[0][0][i] = (a + b) + (c + d);
            values[0][1][i] = (a - b) + (c - d);
            values[1][0][i] = (a + b) - (c + d);
            values[1][1][i] = (a - b) - (c - d);
          }
          PIXMIM_UNROLLED
          for (int32 odd_y = 0; odd_y < 2; ++odd_y) {
            PIXMIM_UNROLLED
            for (int32 odd_x = 0; odd_x < 2; ++odd_x) {
              const float(&of)[4] = values[odd_y][odd_x];
              folded[odd_y][odd_x].set(half, of[0], of[1]);
              folded[odd_y][odd_x].set(2 + half, of[2], of[3]);
            }
          }
        }
        PIXMIM_UNROLLED
        for (int32 odd_x = 0; odd_x < 2; ++odd_x) {
          PIXMIM_UNROLLED
          for (int32 pair = 0; pair < tiles / 2; ++pair) {
            const RightFragments basis =
                along_x.template right<exact>(odd_x * waves + 16 * pair, 16 * step);
            multiply_pair<exact>(sums[0][odd_x][pair], folded[0][odd_x], basis);
            multiply_pair<exact>(sums[1][odd_x][pair], folded[1][odd_x], basis);
          }
        }
      }
      PIXMIM_UNROLLED
      for (int32 odd_y = 0; odd_y < 2; ++odd_y) {
        PIXMIM_UNROLLED
        for (int32 odd_x = 0; odd_x < 2; ++odd_x) {
          PIXMIM_UNROLLED
          for (int32 tile = 0; tile < tiles; ++tile) {
            const float(&of)[4] = sums[odd_y][odd_x][tile / 2][tile % 2];
            const int32 row = odd_y * (height / 2) + 16 * warp + group;
            const int32 column = odd_x * waves + 8 * tile + 2 * quad;
            rows.store_pair(row, column, of[0], of[1], exact);
            rows.store_pair(row + 8, column, of[2], of[3], exact);
          }
        }
      }
      if (!bytes && attempt == 0) {
        PIXMIM_UNROLLED
        for (int32 distance = 16; distance > 0; distance /= 2) {
          largest = larger(largest, shuffle_xor(largest, distance));
        }
        if (lane == 0) largest_of_warp[warp] = largest;
      }
      synchronize_block();
      if (bytes || attempt == 1) break;
      largest = absolute(epilogue.constant);
      for (int32 i = 0; i < warps; ++i) largest = larger(largest, largest_of_warp[i]);
      scale = scale_for(largest);
      if (scale == 1) break;
      // What overflows or vanishes in half precision is read again, as numbers near 1.
      inverse_scale = 1 / scale;
    }

    // Along y. Units of 16x16 coefficients; warps keep theirs until all rows are read.
    constexpr int32 units_a_row = both / 16;
    constexpr int32 units = units_a_row * units_a_row;
    constexpr int32 units_a_warp = (units + warps - 1) / warps;
    float coefficients[units_a_warp][2][4] = {};
    PIXMIM_UNROLLED
    for (int32 i = 0; i < units_a_warp; ++i) {
      const int32 unit = warp + i * warps;
      if (unit < units) {
        const int32 first_row = unit / units_a_row * 16;
        const int32 odd_y = first_row / waves;
        PIXMIM_ROLLED
        for (int32 step = 0; step < height / 32; ++step) {
          multiply_pair<exact>(coefficients[i], along_y.template left<exact>(first_row, 16 * step),
                               rows.template right_transposed<exact>(
                                   odd_y * (height / 2) + 16 * step, unit % units_a_row * 16));
        }
      }
    }
    synchronize_block();

    // The basis function of frequency 0 is 1 / sqrt(height * width).
    const float constant =
        epilogue.constant * scale * square_root(static_cast<float>(height * width));
    const auto each_coefficient = [&](const auto& visit) {
      PIXMIM_UNROLLED
      for (int32 i = 0; i < units_a_warp; ++i) {
        const int32 unit = warp + i * warps;
        if (unit < units) {
          PIXMIM_UNROLLED
          for (int32 j = 0; j < 4; ++j) {
            visit(unit / units_a_row * 16 + group + j % 2 * 8,
                  unit % units_a_row * 16 + j / 2 * 8 + 2 * quad, coefficients[i][j / 2][j % 2 * 2],
                  coefficients[i][j / 2][j % 2 * 2 + 1]);
          }
        }
      }
    };
    if (!magnitude) {
      each_coefficient([&](int32 row, int32 column, float& first, float& second) {
        const auto gain = gains + (row * both + column);
        const bool mean = row == 0 && column == 0;
        real_part.store_pair(row, column, first * gain[0] + (mean ? constant : 0), second * gain[1],
                             exact);
      });
    } else {
      each_coefficient([&](int32 row, int32 column, float& first, float& second) {
        raw[row * raw_stride + column] = first;
        raw[row * raw_stride + column + 1] = second;
      });
      synchronize_block();
      each_coefficient([&](int32 row, int32 column, float& first, float& second) {
        const int32 other_row = row < waves ? row + waves : row - waves;
        const int32 other_column = column < waves ? column + waves : column - waves;
        float real[2];
        float imaginary[2];
        PIXMIM_UNROLLED
        for (int32 i = 0; i < 2; ++i) {
          const FourPixels<float> gain =
              reinterpret<const FourPixels<float>>(gains)[row * both + column + i];
          real[i] = gain.values[0] * (i == 0 ? first : second) +
                    gain.values[1] * raw[other_row * raw_stride + other_column + i];
          imaginary[i] = gain.values[2] * raw[other_row * raw_stride + column + i] +
                         gain.values[3] * raw[row * raw_stride + other_column + i];
        }
        const bool mean = row == 0 && column == 0;
        real_part.store_pair(row, column, real[0] + (mean ? constant : 0), real[1], exact);
        first = imaginary[0];
        second = imaginary[1];
      });
      synchronize_block();
      each_coefficient([&](int32 row, int32 column, float& first, float& second) {
        imaginary_part.store_pair(row, column, first, second, exact);
      });
    }
    synchronize_block();

    // Back: 16 rows, then their mirror images.
    Target target = targets.of_channel(channel);
    PIXMIM_ROLLED
    for (int32 mirrored = 0; mirrored < 2; ++mirrored) {
      constexpr int32 parts = magnitude ? 2 : 1;
      LeftFragment waves_of_rows[parts][both / 16];
      PIXMIM_UNROLLED
      for (int32 part = 0; part < parts; ++part) {
        const Coefficients& of = part == 0 ? real_part : imaginary_part;
        float sums[both / 16][2][4] = {};
        PIXMIM_ROLLED
        for (int32 step = 0; step < both / 16; ++step) {
          LeftFragment basis = along_y.template left_transposed<exact>(16 * step, 16 * warp);
          if (mirrored == 1 && 16 * step >= waves) basis.negate();
          PIXMIM_UNROLLED
          for (int32 pair = 0; pair < both / 16; ++pair) {
            multiply_pair<exact>(sums[pair], basis,
                                 of.template right_transposed<exact>(16 * step, 16 * pair));
          }
        }
        PIXMIM_UNROLLED
        for (int32 pair = 0; pair < both / 16; ++pair) {
          PIXMIM_UNROLLED
          for (int32 i = 0; i < 4; ++i) {
            waves_of_rows[part][pair].set(i, sums[pair][i / 2][i % 2 * 2],
                                          sums[pair][i / 2][i % 2 * 2 + 1]);
          }
        }
      }
      PIXMIM_ROLLED
      for (int32 step = 0; step < width / 32; ++step) {
        if (!target.needs(step, mirrored == 1)) continue;
        float even[parts][2][4] = {};
        float odd[parts][2][4] = {};
        PIXMIM_UNROLLED
        for (int32 i = 0; i < waves / 16; ++i) {
          const RightFragments cosines =
              along_x.template right_transposed<exact>(16 * i, 16 * step);
          const RightFragments sines =
              along_x.template right_transposed<exact>(waves + 16 * i, 16 * step);
          PIXMIM_UNROLLED
          for (int32 part = 0; part < parts; ++part) {
            multiply_pair<exact>(even[part], waves_of_rows[part][i], cosines);
            multiply_pair<exact>(odd[part], waves_of_rows[part][waves / 16 + i], sines);
          }
        }
        PIXMIM_UNROLLED
        for (int32 half = 0; half < 2; ++half) {
          target.store(step, mirrored == 1, half, [&](int32 i, float sign) {
            float value = even[0][i / 2][2 * half + i % 2] + sign * odd[0][i / 2][2 * half + i % 2];
            if (magnitude) {
              const float imaginary = even[parts - 1][i / 2][2 * half + i % 2] +
                                      sign * odd[parts - 1][i / 2][2 * half + i % 2];
              value = square_root(value * value + imaginary * imaginary);
            }
            return value * inverse_scale * epilogue.scale + epilogue.shift;
          });
        }
      }
    }
  }
}

/// `targets` [channel_count, height, width].
template <int32 height, int32 width, int32 waves, class Input, class Output, bool exact,
          bool magnitude>
PIXMIM_KERNEL(height)
low_pass(Global<const Input> images, Global<Output> targets, int64 channel_count,
         Global<const Vector16> basis_y, Global<const Vector16> basis_x, Global<const float> gains,
         Global<const Epilogue> epilogues, int32 epilogue_count) {
  filter_channels<height, width, waves, Input, exact, magnitude>(
      images, channel_count, basis_y, basis_x, gains, epilogues, epilogue_count,
      ImageTarget<height, width, Output>{targets});
}

/// `targets` [channel_count / channels, patches, patch_size * patch_size * channels]; `mask` [channel_count /
/// channels, patches], read if `has_mask` is not 0.
template <int32 height, int32 width, int32 waves, class Input, class Output, bool exact,
          bool magnitude, int32 patch_size>
PIXMIM_KERNEL(height)
low_pass_patches(Global<const Input> images, Global<Output> targets, int64 channel_count,
                 Global<const Vector16> basis_y, Global<const Vector16> basis_x,
                 Global<const float> gains, Global<const Epilogue> epilogues, int32 epilogue_count,
                 int32 channels, Global<const uint8> mask, int32 has_mask) {
  filter_channels<height, width, waves, Input, exact, magnitude>(
      images, channel_count, basis_y, basis_x, gains, epilogues, epilogue_count,
      PatchTarget<height, width, Output, patch_size>{targets, mask, has_mask != 0, channels,
                                                     0xffffu});
}

}  // namespace kernels
}  // namespace pixmim
