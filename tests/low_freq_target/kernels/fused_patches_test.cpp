// SPDX-License-Identifier: Apache-2.0
// The fused kernel's target in the order of patches, run by the executor, against the CPU's and the plain
// formula.
#include <ATen/ATen.h>
#include <pixmim/detail/cuda/kernels/low_pass.cuh>
#include <pixmim/detail/cuda/kernels/normalize_patches.cuh>
#include <pixmim/detail/low_freq/fused_target.hpp>
#include <pixmim/low_freq_target.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/simt/executor.hpp"
#include "support/slow_target.hpp"

namespace {

using pixmim::detail::ChannelStatistics;
using pixmim::detail::cut_into_patches;
using pixmim::detail::FusedTarget;
using pixmim::detail::normalize_each_patch;
using support::largest_difference;

const std::vector<double> no_values;
const ChannelStatistics no_statistics = {no_values, no_values};

simt::Executor executor_of(uint64_t seed) {
  simt::Executor executor(seed);
  PIXMIM_ADD_KERNEL(executor, normalize_patches<float>);
  PIXMIM_ADD_KERNEL(executor, normalize_patches<float16>);
  PIXMIM_ADD_KERNEL(executor, normalize_patches<bfloat16>);
  // Every way in and out.
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float, float, true, true, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float, float, true, false, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, uint8, float, true, true, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, uint8, float, true, false, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float16, float16, false, true, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float16, float16, false, false, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float16, float, true, true, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float16, float, true, false, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, bfloat16, bfloat16, false, true, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, bfloat16, bfloat16, false, false, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, bfloat16, float, true, true, 8>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, bfloat16, float, true, false, 8>);
  // Patches of a pixel, of what a warp stores at once, of more, and across its rows.
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float, float, true, false, 1>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float, float, true, false, 16>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<64, 32, 16, float, float, true, false, 32>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<96, 96, 16, float, float, true, false, 6>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<224, 224, 48, float, float, true, false, 14>);
  PIXMIM_ADD_KERNEL(executor, low_pass_patches<224, 224, 48, float, float, true, true, 16>);
  return executor;
}

template <typename Filter>
pixmim::detail::SpectralGain gain_of(const Filter& filter, const at::Tensor& images) {
  return pixmim::detail::gain_table(filter, images.size(-2), images.size(-1));
}

struct Patches {
  int64_t patch_size;
  bool norm_pix = false;
  at::Tensor masked = {};
};

template <typename Filter>
at::Tensor fused(const at::Tensor& images, const Filter& filter, const Patches& patches,
                 const ChannelStatistics& statistics = no_statistics, uint64_t seed = 1) {
  simt::Executor executor = executor_of(seed);
  return FusedTarget(gain_of(filter, images), statistics, images.device(), executor)
      .patches(images, patches.patch_size, patches.norm_pix, patches.masked);
}

template <typename Filter>
at::Tensor on_cpu(const at::Tensor& images, const Filter& filter, const Patches& patches,
                  const ChannelStatistics& statistics = no_statistics) {
  const pixmim::BasicLowFreqTargetGenerator<Filter> generator(
      filter, pixmim::LowFreqTargetOptions().mean(statistics.mean).std(statistics.deviation));
  return generator.patches(
      images, pixmim::TargetPatchesOptions(patches.patch_size).norm_pix(patches.norm_pix),
      patches.masked);
}

at::Tensor random_images(at::IntArrayRef shape, uint64_t seed = 11) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::kDouble);
}

/// About 3 of 4 are true.
at::Tensor random_mask(int64_t images, int64_t tokens) {
  auto generator = at::detail::createCPUGenerator(3);
  return at::rand({images, tokens}, generator, at::kDouble).lt(0.75);
}

}  // namespace

TEST_CASE("fused patches are those of the plain formula", "[low_freq_target]") {
  struct Row {
    int64_t batch, channels, height, width, patch_size;
  };
  for (const auto& [n, c, h, w, p] :
       {Row{2, 3, 64, 32, 8}, Row{3, 1, 64, 32, 16}, Row{1, 5, 64, 32, 32}, Row{1, 2, 64, 32, 1},
        Row{1, 3, 96, 96, 6}}) {
    CAPTURE(n, c, h, w, p);
    const at::Tensor images = random_images({n, c, h, w});
    const at::Tensor target = support::slow_target(images, pixmim::Circle{9});
    const at::Tensor expected = cut_into_patches(target, p);
    const at::Tensor given = images.to(at::kFloat);
    CHECK(largest_difference(fused(given, pixmim::Circle{9}, {p}), expected) < 1e-5);
    const at::Tensor masked = random_mask(n, expected.size(1));
    CHECK(largest_difference(fused(given, pixmim::Circle{9}, {p, false, masked}),
                             expected * masked.unsqueeze(2)) < 1e-5);
  }
}

TEST_CASE("at the published size fused patches are those of the CPU", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  const at::Tensor images = random_images({1, 3, 224, 224}).to(at::kFloat);
  const Patches masked = {16, false, random_mask(1, 196)};
  CHECK(largest_difference(fused(images, pixmim::PublishedCircle{40}, masked, {mean, deviation}),
                           on_cpu(images, pixmim::PublishedCircle{40}, masked, {mean, deviation})) <
        2e-5);
  // 14 rows are no warp's.
  const at::Tensor image = images.narrow(1, 0, 1).contiguous();
  const Patches of_14 = {14, false, random_mask(1, 256)};
  CHECK(largest_difference(fused(image, pixmim::Circle{40}, of_14),
                           on_cpu(image, pixmim::Circle{40}, of_14)) < 2e-5);
}

TEST_CASE("fused patches come in every dtype, normalised or not", "[low_freq_target]") {
  const auto mean = pixmim::imagenet_default_mean();
  const auto deviation = pixmim::imagenet_default_std();
  auto generator = at::detail::createCPUGenerator(5);
  const at::Tensor images = random_images({3, 3, 64, 32});
  struct Row {
    at::Tensor images;
    double allowed;
    /// Of values above 1 their part: rounding to 16 bits may differ by one.
    double allowed_normalized;
  };
  const auto check = [&](const auto& filter) {
    for (const auto& [given, allowed, allowed_normalized] :
         {Row{images.to(at::kFloat), 1e-5, 1e-4},
          Row{at::randint(256, {3, 3, 64, 32}, generator, at::kByte), 2e-5, 1e-4},
          Row{images.to(at::kHalf), 8e-3, 1.1e-3}, Row{images.to(at::kBFloat16), 6e-2, 8.8e-3}}) {
      CAPTURE(given.scalar_type());
      for (const at::Tensor& masked : {at::Tensor(), random_mask(3, 32)}) {
        for (const bool norm_pix : {false, true}) {
          CAPTURE(masked.defined(), norm_pix);
          const Patches patches = {8, norm_pix, masked};
          const at::Tensor expected = on_cpu(given, filter, patches, {mean, deviation});
          const at::Tensor target = fused(given, filter, patches, {mean, deviation});
          CHECK(target.scalar_type() == expected.scalar_type());
          const at::Tensor size = norm_pix ? expected.abs().clamp_min(1) : at::ones({});
          CHECK(largest_difference(target / size, expected / size) <=
                (norm_pix ? allowed_normalized : allowed));
        }
      }
    }
  };
  check(pixmim::PublishedCircle{9});
  check(pixmim::Circle{9});
}

TEST_CASE("fused patches are normalised as all are", "[low_freq_target]") {
  const at::Tensor images = random_images({2, 3, 64, 32});
  // Of much and of little contrast, about a large mean.
  for (const double contrast : {1.0, 1e-2, 0.0}) {
    for (const int64_t p : {1, 8, 16, 32}) {
      CAPTURE(contrast, p);
      const at::Tensor given = images.mul(contrast).add(30).to(at::kFloat);
      const at::Tensor values = fused(given, pixmim::Circle{9}, {p}).to(at::kDouble);
      const at::Tensor expected = normalize_each_patch(values);
      // Means are rounded to single precision.
      const at::Tensor spread = at::var(values, {2}, /*unbiased=*/true, /*keepdim=*/true).add(1e-6);
      const at::Tensor allowed = spread.rsqrt().mul(30 * std::pow(2.0, -24)).add(1e-5);
      const at::Tensor difference =
          fused(given, pixmim::Circle{9}, {p, true}).to(at::kDouble).sub(expected).abs();
      CHECK(difference.sub(allowed * expected.abs().clamp_min(1)).max().item<double>() < 0);
    }
  }
  // A patch of one number has no variance.
  const at::Tensor grey = images.narrow(1, 0, 1).to(at::kFloat).contiguous();
  CHECK(at::equal(fused(grey, pixmim::Circle{9}, {1, true}), at::zeros({2, 64 * 32, 1})));
}

TEST_CASE("masks hide all, none or some of the fused patches", "[low_freq_target]") {
  const at::Tensor images = random_images({3, 3, 64, 32}).to(at::kFloat);
  const at::Tensor half = images.to(at::kHalf);
  for (const bool norm_pix : {false, true}) {
    const at::Tensor all = fused(images, pixmim::Circle{9}, {8, norm_pix});
    const at::Tensor all_half = fused(half, pixmim::Circle{9}, {8, norm_pix});
    at::Tensor one_image = at::zeros({3, 32}, at::kBool);
    one_image[1].fill_(true);
    at::Tensor one_patch = at::zeros({3, 32}, at::kBool);
    one_patch[2][29] = true;
    for (const at::Tensor& masked : {at::ones({3, 32}, at::kBool), at::zeros({3, 32}, at::kBool),
                                     random_mask(3, 32), one_image, one_patch}) {
      const Patches patches = {8, norm_pix, masked};
      CHECK(at::equal(fused(images, pixmim::Circle{9}, patches), all * masked.unsqueeze(2)));
      CHECK(at::equal(fused(half, pixmim::Circle{9}, patches), all_half * masked.unsqueeze(2)));
    }
  }
}

TEST_CASE("fused patches have the same bits whatever comes first", "[low_freq_target]") {
  const at::Tensor images = random_images({3, 3, 64, 32}).to(at::kFloat);
  for (const bool norm_pix : {false, true}) {
    const Patches patches = {8, norm_pix, random_mask(3, 32)};
    const at::Tensor first = fused(images, pixmim::PublishedCircle{9}, patches);
    for (uint64_t seed = 2; seed < 6; ++seed) {
      CHECK(at::equal(fused(images, pixmim::PublishedCircle{9}, patches, no_statistics, seed),
                      first));
    }
  }
}

TEST_CASE("in fused patches NaN stays in its channel, and normalised in its image",
          "[low_freq_target]") {
  at::Tensor images = random_images({3, 3, 64, 32}).to(at::kFloat);
  images[1][1][3][4] = std::nan("");
  const at::Tensor masked = random_mask(3, 32);
  const at::Tensor hidden = fused(images, pixmim::Circle{9}, {8, false, masked});
  const at::Tensor values = hidden.view({3, 32, 64, 3});
  CHECK(at::equal(values[1].select(2, 1).isnan().all(1), masked[1]));
  CHECK(values[1].select(2, 0).isfinite().all().item<bool>());
  CHECK(values[0].isfinite().all().item<bool>());
  const at::Tensor normalized = fused(images, pixmim::Circle{9}, {8, true, masked});
  CHECK(at::equal(normalized[1].isnan().all(1), masked[1]));
  CHECK(at::equal(normalized[1].isnan().any(1), masked[1]));
  CHECK(normalized[2].isfinite().all().item<bool>());
}

TEST_CASE("a target takes the kernel for patches that it serves, and operators for the rest",
          "[low_freq_target]") {
  simt::Executor executor = executor_of(4);
  const at::Tensor images = random_images({2, 3, 64, 32}).to(at::kHalf);
  const auto gain = gain_of(pixmim::Circle{9}, images);
  // Single precision takes more shared memory.
  executor.allow_shared_bytes(
      pixmim::kernels::LowPassShape(64, 32, 16, /*exact=*/false, /*magnitude=*/false).shared_bytes);
  pixmim::detail::DeviceTarget<false> small(gain, no_statistics, at::kFloat, images.device());
  small.use_kernels(gain, no_statistics, executor);
  executor.allow_shared_bytes(227 * 1024);
  pixmim::detail::DeviceTarget<false> large(gain, no_statistics, at::kFloat, images.device());
  large.use_kernels(gain, no_statistics, executor);

  const at::Tensor masked = random_mask(2, 32);
  for (const bool norm_pix : {false, true}) {
    const Patches patches = {8, norm_pix, masked};
    const at::Tensor expected = on_cpu(images, pixmim::Circle{9}, patches);
    large.prepare(images, 8, norm_pix);
    CHECK(executor.prepared().size() == (norm_pix ? 3 : 1));
    const at::Tensor target = large.patches(images, at::kHalf, 8, norm_pix, masked);
    CHECK(largest_difference(target, expected) < 8e-3);
    // Any layout in memory.
    CHECK(at::equal(large.patches(images.contiguous(at::MemoryFormat::ChannelsLast), at::kHalf, 8,
                                  norm_pix, masked),
                    target));
    // What was prepared is what is launched.
    CHECK(executor.launches().back().kernel == executor.prepared().back());
  }
  CHECK(executor.launches().size() == 6);
  PIXMIM_ADD_KERNEL(executor, low_pass<64, 32, 16, float16, float16, false, false>);
  small.prepare(images, 8, true);
  CHECK(executor.prepared().back() == "low_pass<64, 32, 16, float16, float16, false, false>");
  small.patches(images, at::kHalf, 8, true, masked);
  CHECK(executor.launches().size() == 7);
  CHECK(executor.launches().back().kernel == executor.prepared().back());
}
