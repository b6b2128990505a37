// SPDX-License-Identifier: Apache-2.0
// Each bad argument of the mask makers and of TokenMask gives an error that names it.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <pixmim/masking.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "support/catch.hpp"
#include "support/errors.hpp"

using pixmim::BlockMaskOptions;
using support::error_of;

TEST_CASE("bad arguments of a random mask are named", "[masking]") {
  const auto error = [](int64_t batch, int64_t tokens, double ratio) {
    return error_of([&] { pixmim::random_mask(batch, tokens, ratio); });
  };
  CHECK(error(-1, 4, 0.5) == "random_mask: expected batch >= 0, got -1");
  CHECK(error(1, -2, 0.5) == "random_mask: expected tokens >= 0, got -2");
  CHECK(error(1, 4, -0.25) == "random_mask: expected ratio in [0, 1], got -0.25");
  CHECK(error(1, 4, 1.5) == "random_mask: expected ratio in [0, 1], got 1.5");
  CHECK(error(1, 4, std::nan("")) == "random_mask: expected ratio in [0, 1], got nan");
}

TEST_CASE("a generator on another device is named", "[masking]") {
  const auto cpu = at::make_generator<at::CPUGeneratorImpl>(1);
  const std::string rest = ": expected a generator on the device of the mask, cuda, got one on cpu";
  CHECK(error_of([&] { pixmim::random_mask(1, 4, 0.5, at::kCUDA, cpu); }) == "random_mask" + rest);
  CHECK(error_of([&] { pixmim::joint_mask(1, 4, 4, 0.5, 2, at::kCUDA, cpu); }) ==
        "joint_mask" + rest);
  CHECK(error_of([&] { pixmim::grid_mask(1, 4, 4, 0.5, 2, at::kCUDA, cpu); }) ==
        "grid_mask" + rest);
  CHECK(error_of([&] { pixmim::patch_aligned_mask(1, 64, 32, 16, 0.5, at::kCUDA, cpu); }) ==
        "patch_aligned_mask" + rest);
}

TEST_CASE("generators on two devices of one type are told apart", "[masking]") {
  /// Draws nothing: that a machine has such a device is not asked for.
  class Generator : public c10::GeneratorImpl {
   public:
    explicit Generator(c10::DeviceIndex index)
        : GeneratorImpl(at::Device(at::kCUDA, index), c10::DispatchKeySet(at::DispatchKey::CUDA)) {}
    void set_current_seed(uint64_t /*seed*/) override {}
    void set_offset(uint64_t /*offset*/) override {}
    uint64_t get_offset() const override { return 0; }
    uint64_t current_seed() const override { return 0; }
    uint64_t seed() override { return 0; }
    void set_state(const c10::TensorImpl& /*state*/) override {}
    c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return {}; }
    Generator* clone_impl() const override { return new Generator(device().index()); }
  };
  const auto generator = at::make_generator<Generator>(c10::DeviceIndex{1});
  const at::Device device(at::kCUDA, 0);
  const std::string rest =
      ": expected a generator on the device of the mask, cuda:0, got one on cuda:1";
  CHECK(error_of([&] { pixmim::random_mask(1, 4, 0.5, device, generator); }) ==
        "random_mask" + rest);
  CHECK(error_of([&] { pixmim::grid_mask(1, 4, 4, 0.5, 2, device, generator); }) ==
        "grid_mask" + rest);
  CHECK(error_of([&] { pixmim::random_mask(1, 4, 0.5, at::kCPU, generator); }) ==
        "random_mask: expected a generator on the device of the mask, cpu, got one on cuda:1");
  // Blocks are drawn on the host whatever the mask's device.
  for (const auto type : {at::kCPU, at::kCUDA}) {
    CHECK(error_of([&] { pixmim::block_mask(1, 4, 4, 4, type, generator); }) ==
          "block_mask: expected a generator on the CPU, which draws on the host, got one on "
          "cuda:1");
  }
  const auto on_host = at::make_generator<at::CPUGeneratorImpl>(1);
  CHECK(pixmim::block_mask(1, 4, 4, 4, at::kMeta, on_host).mask.is_meta());
}

TEST_CASE("sizes that no mask can have are named, however large", "[masking]") {
  const int64_t largest = std::numeric_limits<int64_t>::max();
  const std::string most = ": expected at most 16777216 tokens a sample, got ";
  const std::string grid = most + "a grid of ";
  const std::string number = std::to_string(largest);
  CHECK(error_of([] { pixmim::random_mask(1, (1 << 24) + 1, 1); }) ==
        "random_mask" + most + "16777217");
  CHECK(error_of([&] { pixmim::random_mask(largest, largest, 1); }) ==
        "random_mask" + most + number);
  CHECK(error_of([] {
          pixmim::mask_from_noise(at::zeros({1}).expand({0, (1 << 24) + 1}), 1);
        }) == "mask_from_noise" + most + "16777217");
  CHECK(error_of([&] { pixmim::joint_mask(1, largest, largest, 1, 2); }) ==
        "joint_mask" + grid + number + "x" + number);
  CHECK(error_of([] { pixmim::joint_mask(1, 4096, 4097, 1, 2); }) ==
        "joint_mask" + grid + "4096x4097");
  CHECK(error_of([] { pixmim::grid_mask(1, int64_t{1} << 32, int64_t{1} << 32, 1, 1); }) ==
        "grid_mask" + grid + "4294967296x4294967296");
  CHECK(error_of([&] { pixmim::block_mask(1, 2, largest, 1); }) ==
        "block_mask" + grid + "2x" + number);
  CHECK(error_of([] { pixmim::patch_aligned_mask(1, int64_t{1} << 40, 1 << 20, 16, 1); }) ==
        "patch_aligned_mask" + grid + "68719476736x68719476736");
  CHECK(error_of([&] {
          pixmim::upsample_mask(at::zeros({0, 6}), {2, 3}, largest);
        }) ==
        "upsample_mask: expected a finer grid with sides of at most 16777216, got 2x3 times " +
            number);
  // Of a batch that memory cannot hold, LibTorch says so.
  for (const int64_t batch : {largest, largest / 1000}) {
    CHECK_THROWS_AS(pixmim::random_mask(batch, 1000, 0.5), c10::Error);
    CHECK_THROWS_AS(pixmim::joint_mask(batch, 10, 100, 0.5, 2), c10::Error);
    CHECK_THROWS_AS(pixmim::patch_aligned_mask(batch, 1024, 32, 32, 0.5), c10::Error);
    CHECK_THROWS_AS(pixmim::block_mask(batch, 10, 100, 75), c10::Error);
  }
  // A block that is larger than the grid is all of it.
  const auto whole = pixmim::joint_mask(1, 2, 3, 0.5, largest);
  CHECK(at::equal(whole.ids_keep, at::tensor({0, 3, 1}, at::kLong).view({1, 3})));
  CHECK(pixmim::joint_mask_from_noise(at::rand({2, 1}), 2, 3, 0.5, largest).ids_keep.size(1) == 3);
}

TEST_CASE("bad noise is named", "[masking]") {
  const auto error = [](const at::Tensor& noise) {
    return error_of([&] { pixmim::mask_from_noise(noise, 0.5); });
  };
  CHECK(error({}) == "mask_from_noise: expected `noise` to be a tensor, got an undefined one");
  CHECK(error(at::zeros({1, 4}, at::kLong)) ==
        "mask_from_noise: expected noise of a floating dtype, got Long");
  CHECK(error(at::rand({4})) == "mask_from_noise: expected noise of shape [N,L], got [4]");
  CHECK(error_of([] {
          pixmim::mask_from_noise(at::rand({1, 4}), 2);
        }) == "mask_from_noise: expected ratio in [0, 1], got 2");
}

TEST_CASE("bad arguments of a joint mask are named", "[masking]") {
  const auto error = [](int64_t batch, int64_t grid_h, int64_t grid_w, double ratio,
                        int64_t block) {
    return error_of([&] { pixmim::joint_mask(batch, grid_h, grid_w, ratio, block); });
  };
  CHECK(error(-2, 4, 4, 0.5, 2) == "joint_mask: expected batch >= 0, got -2");
  CHECK(error(1, 0, 4, 0.5, 2) == "joint_mask: expected grid_h > 0, got 0");
  CHECK(error(1, 4, -1, 0.5, 2) == "joint_mask: expected grid_w > 0, got -1");
  CHECK(error(1, 4, 4, 0.5, 0) == "joint_mask: expected block > 0, got 0");
  CHECK(error(1, 4, 4, 1.25, 2) == "joint_mask: expected ratio in [0, 1], got 1.25");

  const auto from_noise = [](const at::Tensor& noise, int64_t block, double ratio) {
    return error_of([&] { pixmim::joint_mask_from_noise(noise, 5, 4, ratio, block); });
  };
  CHECK(from_noise(at::rand({2, 4}), 2, 0.5) ==
        "joint_mask_from_noise: expected noise of shape [N,6], one value a block, got [2, 4]");
  CHECK(from_noise({}, 2, 0.5) ==
        "joint_mask_from_noise: expected `noise` to be a tensor, got an undefined one");
  CHECK(from_noise(at::zeros({2, 6}, at::kInt), 2, 0.5) ==
        "joint_mask_from_noise: expected noise of a floating dtype, got Int");
  CHECK(from_noise(at::rand({2, 6}), -3, 0.5) ==
        "joint_mask_from_noise: expected block > 0, got -3");
  CHECK(from_noise(at::rand({2, 6}), 2, -1) ==
        "joint_mask_from_noise: expected ratio in [0, 1], got -1");
}

TEST_CASE("bad arguments of a grid mask are named", "[masking]") {
  const auto error = [](int64_t batch, int64_t grid_h, int64_t grid_w, double ratio,
                        int64_t block) {
    return error_of([&] { pixmim::grid_mask(batch, grid_h, grid_w, ratio, block); });
  };
  CHECK(error(-2, 4, 4, 0.5, 2) == "grid_mask: expected batch >= 0, got -2");
  CHECK(error(1, 0, 4, 0.5, 2) == "grid_mask: expected grid_h > 0, got 0");
  CHECK(error(1, 4, 4, 0.5, 0) == "grid_mask: expected block > 0, got 0");
  CHECK(error(1, 4, 6, 0.5, 4) ==
        "grid_mask: expected grid_h and grid_w to be multiples of block, 4, got 4x6");
  CHECK(error(1, 4, 4, 1.25, 2) == "grid_mask: expected ratio in [0, 1], got 1.25");

  const auto from_noise = [](const at::Tensor& noise, int64_t block) {
    return error_of([&] { pixmim::grid_mask_from_noise(noise, 4, 6, 0.5, block); });
  };
  CHECK(from_noise(at::rand({2, 4}), 2) ==
        "grid_mask_from_noise: expected noise of shape [N,6], one value a block, got [2, 4]");
  CHECK(from_noise({}, 2) ==
        "grid_mask_from_noise: expected `noise` to be a tensor, got an undefined one");
  CHECK(from_noise(at::rand({2, 4}), 3) ==
        "grid_mask_from_noise: expected grid_h and grid_w to be multiples of block, 3, got 4x6");
}

TEST_CASE("bad arguments of a block mask are named", "[masking]") {
  const auto error = [](const BlockMaskOptions& options, int64_t batch = 1, int64_t grid_h = 4,
                        int64_t grid_w = 5) {
    return error_of([&] { pixmim::block_mask(batch, grid_h, grid_w, options); });
  };
  CHECK(error(4, -1) == "block_mask: expected batch >= 0, got -1");
  CHECK(error(4, 1, 0) == "block_mask: expected grid_h > 0, got 0");
  CHECK(error(4, 1, 4, 0) == "block_mask: expected grid_w > 0, got 0");
  CHECK(error(21) == "block_mask: expected num_masking_patches in [0, 20], got 21");
  CHECK(error(-1) == "block_mask: expected num_masking_patches in [0, 20], got -1");
  CHECK(error(BlockMaskOptions(4).min_num_patches(0)) ==
        "block_mask: expected min_num_patches > 0, got 0");
  CHECK(error(BlockMaskOptions(4).max_num_patches(0)) ==
        "block_mask: expected max_num_patches > 0, got 0");
  CHECK(error(BlockMaskOptions(4).min_aspect(0)) ==
        "block_mask: expected a finite min_aspect > 0, got 0");
  CHECK(error(BlockMaskOptions(4).min_aspect(0.5).max_aspect(0.25)) ==
        "block_mask: expected a finite max_aspect >= min_aspect, 0.5, got 0.25");
  CHECK(error(BlockMaskOptions(4).max_aspect(INFINITY)) ==
        "block_mask: expected a finite max_aspect >= min_aspect, 0.3, got inf");
  // Without max_aspect it is 1 / min_aspect.
  CHECK(error(BlockMaskOptions(4).min_aspect(2)) ==
        "block_mask: expected a finite max_aspect >= min_aspect, 2, got 0.5");
}

TEST_CASE("bad arguments of a patch-aligned mask are named", "[masking]") {
  const auto error = [](torch::ExpandingArray<2> size, int64_t mask_patch, int64_t model_patch,
                        double ratio = 0.5, int64_t batch = 1) {
    return error_of(
        [&] { pixmim::patch_aligned_mask(batch, size, mask_patch, model_patch, ratio); });
  };
  const std::string caller = "patch_aligned_mask: ";
  CHECK(error(64, 0, 4) == caller + "expected mask_patch > 0, got 0");
  CHECK(error(64, 32, -4) == caller + "expected model_patch > 0, got -4");
  CHECK(error(64, 32, 12) ==
        caller + "expected mask_patch to be a multiple of model_patch, got 32 and 12");
  CHECK(error({64, 48}, 32, 4) ==
        caller + "expected image_size to be a positive multiple of mask_patch, 32, got 64x48");
  CHECK(error({0, 64}, 32, 4) ==
        caller + "expected image_size to be a positive multiple of mask_patch, 32, got 0x64");
  CHECK(error(64, 32, 4, 1.5) == caller + "expected ratio in [0, 1], got 1.5");
  CHECK(error(64, 32, 4, 0.5, -1) == caller + "expected batch >= 0, got -1");

  const auto from_noise = [](const at::Tensor& noise, double ratio = 0.5) {
    return error_of([&] { pixmim::patch_aligned_mask_from_noise(noise, 64, 32, 4, ratio); });
  };
  const std::string noise_caller = "patch_aligned_mask_from_noise: ";
  CHECK(from_noise(at::rand({2, 5})) ==
        noise_caller + "expected noise of shape [N,4], one value a mask patch, got [2, 5]");
  CHECK(from_noise({}) == noise_caller + "expected `noise` to be a tensor, got an undefined one");
  CHECK(from_noise(at::rand({2, 4}), -0.5) == noise_caller + "expected ratio in [0, 1], got -0.5");
}

TEST_CASE("bad arguments of upsample_mask are named", "[masking]") {
  const auto error = [](const at::Tensor& mask, torch::ExpandingArray<2> grid, int64_t scale) {
    return error_of([&] { pixmim::upsample_mask(mask, grid, scale); });
  };
  CHECK(error({}, 4, 2) == "upsample_mask: expected `mask` to be a tensor, got an undefined one");
  CHECK(error(at::zeros({1, 16}), {0, 4}, 2) == "upsample_mask: expected grid_h > 0, got 0");
  CHECK(error(at::zeros({1, 16}), {4, -4}, 2) == "upsample_mask: expected grid_w > 0, got -4");
  CHECK(error(at::zeros({1, 16}), 4, 0) == "upsample_mask: expected scale > 0, got 0");
  CHECK(error(at::zeros({1, 16}), {3, 5}, 2) ==
        "upsample_mask: expected mask of shape [N,15] for a grid of 3x5, got [1, 16]");
  CHECK(error(at::zeros({16}), 4, 2) ==
        "upsample_mask: expected mask of shape [N,16] for a grid of 4x4, got [16]");
}

TEST_CASE("tokens that do not fit the mask are named", "[masking]") {
  const auto mask = pixmim::random_mask(2, 16, 0.75);
  const auto visible = [&](const at::Tensor& tokens) {
    return error_of([&] { mask.visible(tokens); });
  };
  const at::Tensor meta = at::empty({2, 16, 3}, at::device(at::kMeta));
  const std::string caller = "TokenMask::visible: ";
  CHECK(visible({}) == caller + "expected `tokens` to be a tensor, got an undefined one");
  CHECK(visible(at::zeros({2, 17, 3})) ==
        caller + "expected tokens of shape [2,16,D], got [2, 17, 3]");
  CHECK(visible(at::zeros({3, 16, 3})) ==
        caller + "expected tokens of shape [2,16,D], got [3, 16, 3]");
  CHECK(visible(at::zeros({2})) == caller + "expected tokens of shape [2,16,D], got [2]");
  CHECK(visible(meta) == caller + "expected tokens on the device of the mask, cpu, got meta");

  const auto restore = [&](const at::Tensor& tokens, const at::Tensor& mask_token) {
    return error_of([&] { mask.restore(tokens, mask_token); });
  };
  const std::string back = "TokenMask::restore: ";
  const auto token = at::zeros({3});
  const auto kept = at::zeros({2, 4, 3});
  CHECK(restore({}, token) == back + "expected `visible` to be a tensor, got an undefined one");
  CHECK(restore(kept, {}) == back + "expected `mask_token` to be a tensor, got an undefined one");
  CHECK(restore(meta, token) == back + "expected visible on the device of the mask, cpu, got meta");
  CHECK(restore(kept, meta) ==
        back + "expected mask_token on the device of the mask, cpu, got meta");
  CHECK(restore(at::zeros({2, 5, 3}), token) ==
        back + "expected visible of shape [2,4,D], got [2, 5, 3]");
  CHECK(restore(at::zeros({2, 4}), token) ==
        back + "expected visible of shape [2,4,D], got [2, 4]");
  CHECK(restore(kept, at::zeros({4})) ==
        back + "expected mask_token of shape [3] or [1,1,3], got [4]");
  CHECK(restore(kept, at::zeros({3, 1})) ==
        back + "expected mask_token of shape [3] or [1,1,3], got [3, 1]");
  CHECK(restore(at::zeros({2, 4, 1}), at::scalar_tensor(1)) ==
        back + "expected mask_token of shape [1] or [1,1,1], got []");
}

TEST_CASE("a mask with different counts has no visible tokens to give", "[masking]") {
  pixmim::TokenMask mask = pixmim::random_mask(2, 16, 0.75);
  mask.ids_keep = at::Tensor();
  const std::string text =
      "expected a mask that keeps one number of tokens in every sample, got one that keeps "
      "different numbers (BlockMaskOptions::exact(true) makes them equal)";
  CHECK(error_of([&] { mask.visible(at::zeros({2, 16, 3})); }) == "TokenMask::visible: " + text);
  CHECK(error_of([&] {
          mask.restore(at::zeros({2, 4, 3}), at::zeros({3}));
        }) == "TokenMask::restore: " + text);
}
