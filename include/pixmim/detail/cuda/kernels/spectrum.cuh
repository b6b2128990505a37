// SPDX-License-Identifier: Apache-2.0
// What the low-frequency target needs beside a library's transforms: pixels to numbers that these take, gains
// between them, and the epilogue.
#pragma once

#include "dialect.cuh"
#include "elements.cuh"

namespace pixmim {
namespace kernels {

template <class Sample>
struct alignas(2 * sizeof(Sample)) Complex {
  Sample real;
  Sample imaginary;
};

/// What becomes of a filtered channel: scale * (real + constant) + shift, or with the magnitude in place of
/// the bracket. Images have `image_channels` of these, and a part of a batch begins with its `first_channel`.
template <class Sample>
struct ChannelEpilogue {
  Sample constant;
  Sample scale;
  Sample shift;
};

template <class Input>
PIXMIM_DEVICE float sample_of(Input pixel) {
  // Sums of small numbers round less.
  return sizeof(Input) == 1 ? to_float(pixel) - 128.0f : to_float(pixel);
}

/// 16-bit pixels or bytes as the numbers that are transformed.
template <class Input, int32 pack>
PIXMIM_KERNEL(256)
read_samples(Global<const Neighbours<Input, pack>> pixels, Global<Neighbours<float, pack>> samples,
             int64 packs) {
  for (int64 i = block_index() * threads_a_block() + thread_index(); i < packs;
       i += block_count() * threads_a_block()) {
    const Neighbours<Input, pack> read = pixels[i];
    Neighbours<float, pack> written;
    PIXMIM_UNROLLED
    for (int32 j = 0; j < pack; ++j) written.values[j] = sample_of(read.values[j]);
    samples[i] = written;
  }
}

/// `spectrum` [columns, channels, height]: times `even`, and zero from column `kept` on; the epilogue's
/// constant is added at frequency 0. `odd_part`: the same spectrum times -i `odd`. Gains [kept, height].
template <class Sample, bool has_odd>
PIXMIM_KERNEL(256)
apply_gains(Global<Complex<Sample>> spectrum, Global<Complex<Sample>> odd_part,
            Global<const Sample> even, Global<const Sample> odd,
            Global<const ChannelEpilogue<Sample>> epilogues, int32 image_channels, int32 first_channel,
            int32 channels, int32 columns, int32 kept, int32 height) {
  const int32 rows = columns * channels;
  for (int64 row = block_index(); row < rows; row += block_count()) {
    const int32 x = static_cast<int32>(row) / channels;
    for (int32 y = thread_index(); y < height; y += threads_a_block()) {
      const int64 place = row * height + y;
      Complex<Sample> filtered = {0, 0};
      Complex<Sample> odd_filtered = {0, 0};
      if (x < kept) {
        const Complex<Sample> value = spectrum[place];
        const Sample gain = even[int64{x} * height + y];
        filtered = {value.real * gain, value.imaginary * gain};
        if (x == 0 && y == 0) {
          const int32 channel = first_channel + static_cast<int32>(row);
          const ChannelEpilogue<Sample> epilogue = epilogues[channel % image_channels];
          filtered.real += epilogue.constant;
        }
        if (has_odd) {
          const Sample odd_gain = odd[int64{x} * height + y];
          odd_filtered = {value.imaginary * odd_gain, -value.real * odd_gain};
        }
      }
      spectrum[place] = filtered;
      if (has_odd) odd_part[place] = odd_filtered;
    }
  }
}

template <class Output>
PIXMIM_DEVICE Output rounded(float value) {
  return round_to<Output>(value);
}
template <class Output>
PIXMIM_DEVICE Output rounded(double value) {
  return value;
}

/// The epilogue of `channels` channels of `packs` packs, a piece of a channel at a time. `real` is null where
/// `target` holds the filtered channels already, and gives way to the result; `imaginary` is null where that
/// part is zero.
template <class Sample, class Output, bool magnitude, int32 pack>
PIXMIM_KERNEL(256)
finish_target(Global<const Neighbours<Sample, pack>> real,
              Global<const Neighbours<Sample, pack>> imaginary,
              Global<Neighbours<Output, pack>> target,
              Global<const ChannelEpilogue<Sample>> epilogues, int32 image_channels, int32 first_channel,
              int32 channels, int32 packs, int32 packs_a_piece) {
  const int32 pieces = (packs + packs_a_piece - 1) / packs_a_piece;
  const int32 units = channels * pieces;
  for (int64 unit = block_index(); unit < units; unit += block_count()) {
    const int32 channel = static_cast<int32>(unit) / pieces;
    const int32 first = (static_cast<int32>(unit) - channel * pieces) * packs_a_piece;
    const int32 end = packs - first < packs_a_piece ? packs : first + packs_a_piece;
    const ChannelEpilogue<Sample> epilogue = epilogues[(first_channel + channel) % image_channels];
    for (int32 i = first + thread_index(); i < end; i += threads_a_block()) {
      const int64 place = int64{channel} * packs + i;
      const Neighbours<Sample, pack> values =
          real ? real[place] : reinterpret<const Neighbours<Sample, pack>>(target)[place];
      Neighbours<Sample, pack> others = {};
      if (imaginary) others = imaginary[place];
      Neighbours<Output, pack> results;
      PIXMIM_UNROLLED
      for (int32 j = 0; j < pack; ++j) {
        Sample value = values.values[j];
        if (magnitude) {
          const Sample other = others.values[j];
          value = imaginary ? square_root(value * value + other * other) : absolute(value);
        }
        results.values[j] = rounded<Output>(value * epilogue.scale + epilogue.shift);
      }
      target[place] = results;
    }
  }
}

}  // namespace kernels
}  // namespace pixmim
