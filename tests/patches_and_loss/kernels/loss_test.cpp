// SPDX-License-Identifier: Apache-2.0
// The CUDA engine of the loss, its kernels run by the executor, against the official losses and the formula.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <pixmim/loss.hpp>
#include <pixmim/patches.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "patches_and_loss/kernels/kernels.hpp"
#include "patches_and_loss/oracle.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

namespace cuda = pixmim::detail::cuda;
using pixmim::PixelLossOptions;
using pixmim::PixelNorm;
using support::largest_difference;

namespace {

const at::ScalarType floating[] = {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};

simt::Executor executor_of(uint64_t seed) {
  simt::Executor executor(seed);
  add_loss_kernels(executor);
  return executor;
}

/// As masked_pixel_loss does on a GPU.
at::Tensor kernel_loss(simt::Executor& executor, const at::Tensor& prediction,
                       const at::Tensor& target, const at::Tensor& mask,
                       const PixelLossOptions& options) {
  REQUIRE(cuda::serves_loss(executor, prediction, target));
  return pixmim::detail::differentiable_pixel_loss(prediction, target, mask, options, &executor);
}

at::Tensor leaf_of(const at::Tensor& tensor) {
  return tensor.detach().requires_grad_();
}

/// Half a unit of the last place of a value near `largest`; float16 has no values below 6e-8.
double rounding(at::ScalarType dtype, double largest) {
  switch (dtype) {
    case at::kHalf:
      return std::max(largest * 0x1p-11, 0x1p-25);
    case at::kBFloat16:
      return largest * 0x1p-8;
    default:
      return 0;
  }
}

void expect_oracle(simt::Executor& executor, const at::Tensor& prediction, const at::Tensor& target,
                   const at::Tensor& mask, const PixelLossOptions& options) {
  INFO(oracle::name(options) << ", prediction " << prediction.scalar_type() << " "
                             << prediction.sizes() << " " << prediction.strides() << ", target "
                             << target.scalar_type() << " " << target.sizes() << " "
                             << target.strides());
  const bool wide = prediction.scalar_type() == at::kDouble || target.scalar_type() == at::kDouble;
  const auto expected = oracle::pixel_loss(prediction, target, mask, options);
  const auto leaf = leaf_of(prediction);
  const auto loss = kernel_loss(executor, leaf, target, mask, options);
  loss.backward();
  CHECK(loss.dim() == 0);
  CHECK(loss.scalar_type() == (wide ? at::kDouble : at::kFloat));
  const double value = expected.loss.item<double>();
  CHECK(std::abs(loss.item<double>() - value) <= (wide ? 1e-13 : 5e-7) * value);

  CHECK(leaf.grad().scalar_type() == prediction.scalar_type());
  const double largest = expected.gradient.abs().max().item<double>();
  const bool wide_gradient = prediction.scalar_type() == at::kDouble;
  CHECK(largest_difference(leaf.grad(), expected.gradient) <=
        rounding(prediction.scalar_type(), largest) + (wide_gradient ? 1e-14 : 1e-6) * largest);
  // Without a gradient the value is the same.
  CHECK(at::equal(kernel_loss(executor, prediction.detach(), target, mask, options), loss));
}

at::Tensor some_mask(int64_t batch, int64_t length) {
  const at::Tensor mask = at::rand({batch, length}).lt(0.75).to(at::kFloat);
  mask.select(0, 0).select(0, 0).fill_(1);
  return mask;
}

/// The kernel that computed the patches.
std::string patch_kernel(const simt::Executor& executor) {
  for (const auto& launch : executor.launches()) {
    if (launch.kernel.rfind("masked_loss<", 0) == 0) return launch.kernel;
  }
  return "none";
}

bool launched(const simt::Executor& executor, const std::string& name) {
  for (const auto& launch : executor.launches()) {
    if (launch.kernel.rfind(name, 0) == 0) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("each kernel that the loss may launch is tested here", "[patches_and_loss][kernels]") {
  auto executor = executor_of(0);
  for (const auto& kernel : cuda::loss_kernels()) executor.prepare(kernel);
  CHECK(executor.prepared().size() == 33);
}

TEST_CASE("the kernels give the official losses and gradients", "[patches_and_loss][kernels]") {
  struct Row {
    std::string suffix;
    PixelNorm norm;
    bool norm_pix;
  };
  const Row rows[] = {{"", PixelNorm::L2, false},
                      {"_norm_pix", PixelNorm::L2, true},
                      {"_l1", PixelNorm::L1, false},
                      {"_l1_norm_pix", PixelNorm::L1, true}};
  uint64_t losses = 0;
  for (const auto& path : support::golden_files("patches_loss_")) {
    const support::Golden golden(path);
    for (const auto& row : rows) {
      if (!golden.has("loss" + row.suffix)) continue;
      auto executor = executor_of(++losses);
      const auto options =
          PixelLossOptions(golden.integer("patch_size")).norm(row.norm).norm_pix(row.norm_pix);
      const auto& images = golden.has("target") ? golden["target"] : golden["images"];
      const double expected = golden["loss" + row.suffix].item<double>();
      const auto& expected_gradient = golden["grad" + row.suffix];
      for (const auto& target : {images, oracle::patches(images, options.patch_size())}) {
        INFO(golden.name() << " loss" << row.suffix << " of " << target.sizes());
        const auto prediction = leaf_of(golden["pred"].clone());
        const auto loss = kernel_loss(executor, prediction, target, golden["mask"], options);
        loss.backward();
        CHECK(std::abs(loss.item<double>() - expected) <= 5e-6 * std::abs(expected));
        CHECK(largest_difference(prediction.grad(), expected_gradient) <=
              1e-6 * expected_gradient.abs().max().item<double>() + 1e-9);
      }
    }
  }
  CHECK(losses >= 8);
}

TEST_CASE("the kernels give the formula in every pair of dtypes", "[patches_and_loss][kernels]") {
  at::manual_seed(21);
  const auto prediction = at::randn({2, 6, 48});
  const auto images = at::randn({2, 3, 8, 12});
  const auto mask = some_mask(2, 6);
  uint64_t seed = 0;
  for (const auto predicted : floating) {
    for (const auto wanted : floating) {
      for (const auto& options : oracle::all_options(4)) {
        auto executor = executor_of(++seed);
        const auto target = images.to(wanted);
        expect_oracle(executor, prediction.to(predicted), target, mask, options);
        const auto patches = oracle::patches(target, 4);
        expect_oracle(executor, prediction.to(predicted), patches, mask, options);
        // Rows that begin anywhere.
        const auto part = at::randn({2, 6, 49}).to(predicted).narrow(2, 1, 48);
        expect_oracle(executor, part, target, mask, options);
      }
    }
  }
}

TEST_CASE("what is predicted right has no gradient", "[patches_and_loss][kernels]") {
  at::manual_seed(28);
  const auto images = at::randint(-2, 3, {2, 3, 8, 12});
  // A third of the values is equal.
  const auto prediction = oracle::patches(images, 4) + at::randint(-1, 2, {2, 6, 48});
  uint64_t seed = 0;
  for (const auto dtype : floating) {
    for (const auto norm : {PixelNorm::L2, PixelNorm::L1}) {
      auto executor = executor_of(++seed);
      expect_oracle(executor, prediction.to(dtype), images.to(dtype), some_mask(2, 6),
                    PixelLossOptions(4).norm_pix(false).norm(norm));
    }
  }
}

TEST_CASE("the kernels give the formula for every size of patch", "[patches_and_loss][kernels]") {
  at::manual_seed(22);
  uint64_t seed = 0;
  for (const int64_t channels : {1, 3, 4}) {
    for (const int64_t size : {1, 2, 3, 8, 14, 16, 17, 32, 40}) {
      const auto images = at::randn({2, channels, 2 * size, 3 * size});
      const auto prediction = at::randn({2, 6, size * size * channels});
      for (const auto& options : oracle::all_options(size)) {
        auto executor = executor_of(++seed);
        expect_oracle(executor, prediction, images, some_mask(2, 6), options);
      }
      auto executor = executor_of(++seed);
      const auto options = PixelLossOptions(size).norm_pix(true);
      expect_oracle(executor, prediction, images.to(at::MemoryFormat::ChannelsLast),
                    some_mask(2, 6), options);
      expect_oracle(executor, prediction, oracle::patches(images, size), some_mask(2, 6), options);
    }
  }
}

TEST_CASE("the kernels read tensors wherever they are", "[patches_and_loss][kernels]") {
  at::manual_seed(23);
  const auto mask = some_mask(2, 6);
  const auto images = at::randn({2, 3, 8, 12});
  const auto options = PixelLossOptions(4).norm_pix(true);
  const auto kernel_of = [&](const at::Tensor& prediction, const at::Tensor& target) {
    auto executor = executor_of(1);
    expect_oracle(executor, prediction, target, mask, options);
    return patch_kernel(executor);
  };
  const std::string packs = "masked_loss<float, float, float, 4>";
  const std::string singly = "masked_loss<float, float, float, 1>";
  const auto prediction = at::randn({2, 6, 48});
  CHECK(kernel_of(prediction, images) == packs);
  // A class token before the patches, as decoders give it.
  CHECK(kernel_of(at::randn({2, 7, 48}).narrow(1, 1, 6), images) == packs);
  CHECK(kernel_of(at::randn({2, 6, 96}).narrow(2, 4, 48), images) == packs);
  CHECK(kernel_of(at::randn({2, 6, 50}).narrow(2, 0, 48), images) == singly);
  CHECK(kernel_of(at::randn({2, 6, 64}).narrow(2, 1, 48), images) == singly);
  CHECK(kernel_of(at::randn({2 * 289}).as_strided({2, 6, 48}, {289, 48, 1}), images) == singly);
  CHECK(kernel_of(at::randn({2, 48, 6}).transpose(1, 2), images) == packs);
  CHECK(kernel_of(at::randn({6, 2, 48}).transpose(0, 1), images) == packs);
  CHECK(kernel_of(at::randn({48}).expand({2, 6, 48}), images) == packs);
  CHECK(kernel_of(at::_neg_view(prediction), at::_neg_view(images)) == packs);
  for (const auto& target :
       {at::randn({2, 3, 12, 8}).transpose(2, 3),
        at::randn({2, 4, 9, 13}).narrow(1, 1, 3).narrow(2, 1, 8).narrow(3, 1, 12),
        at::randn({3, 2, 8, 12}).transpose(0, 1), at::randn({3, 8, 12}).expand({2, 3, 8, 12}),
        at::randn({2, 8, 12, 4}).permute({0, 3, 1, 2}).narrow(1, 0, 3), at::randn({2, 6, 48}),
        at::randn({2, 6, 96}).slice(2, 0, 96, 2), at::randn({2, 48, 6}).transpose(1, 2),
        at::randn({1, 1, 48}).expand({2, 6, 48})}) {
    CHECK(kernel_of(prediction, target) == packs);
  }
  // One row of patches, one column of them.
  CHECK(kernel_of(prediction, at::randn({2, 3, 4, 24})) == packs);
  CHECK(kernel_of(prediction, at::randn({2, 3, 24, 4})) == packs);
}

TEST_CASE("the kernels take any mask", "[patches_and_loss][kernels]") {
  at::manual_seed(24);
  const auto prediction = at::randn({2, 6, 12});
  const auto images = at::randn({2, 3, 4, 6});
  const auto chosen = some_mask(2, 6);
  uint64_t seed = 0;
  for (const auto& options : oracle::all_options(2)) {
    auto executor = executor_of(++seed);
    for (const auto& mask :
         {chosen, chosen.to(at::kBool), chosen.to(at::kLong), chosen.to(at::kHalf),
          chosen.to(at::kDouble), at::ones({2, 6}), at::rand({2, 6}), at::rand({2, 6}) * 1e-3,
          at::rand({6, 2}).t(), at::rand({6}).expand({2, 6})}) {
      expect_oracle(executor, prediction, images, mask, options);
      expect_oracle(executor, prediction.to(at::kDouble), images, mask, options);
    }
    const auto leaf = leaf_of(prediction);
    const auto none = kernel_loss(executor, leaf, images, at::zeros({2, 6}), options);
    none.backward();
    CHECK(none.item<double>() == 0);
    CHECK(at::equal(leaf.grad(), at::zeros_like(leaf)));
  }
}

TEST_CASE("the kernels give zero for no patches", "[patches_and_loss][kernels]") {
  auto executor = executor_of(0);
  for (const auto dtype : floating) {
    for (const auto& [batch, rows] : {std::pair<int64_t, int64_t>{0, 2}, {2, 0}}) {
      const auto leaf = leaf_of(at::zeros({batch, rows * 3, 12}, dtype));
      const auto loss = kernel_loss(executor, leaf, at::zeros({batch, 3, rows * 2, 6}),
                                    at::zeros({batch, rows * 3}), PixelLossOptions(2));
      loss.backward();
      CHECK(loss.item<double>() == 0);
      CHECK(leaf.grad().sizes() == leaf.sizes());
    }
  }
}

TEST_CASE("the kernels look at no visible patch", "[patches_and_loss][kernels]") {
  at::manual_seed(25);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto mask = at::tensor({1, 0, 1, 0, 0, 1}).view({1, 6});
  const auto hidden = mask.unsqueeze(2).eq(0);
  for (const auto& options : oracle::all_options(4)) {
    auto executor = executor_of(1);
    const auto prediction = at::randn({1, 6, 48});
    const auto target = at::randn({1, 6, 48});
    const auto expected = oracle::pixel_loss(prediction, target, mask, options);
    const auto leaf = leaf_of(prediction.masked_fill(hidden, nan));
    const auto loss = kernel_loss(executor, leaf, target.masked_fill(hidden, nan), mask, options);
    loss.backward();
    CHECK(loss.item<double>() == Approx(expected.loss.item<double>()).epsilon(5e-7));
    CHECK(leaf.grad().masked_select(hidden).eq(0).all().item<bool>());
    CHECK(at::allclose(leaf.grad().to(at::kDouble), expected.gradient, 1e-5, 1e-8));
    // What is masked counts, whatever it is.
    const auto poisoned = prediction.clone();
    poisoned[0][2][7] = nan;
    CHECK(std::isnan(kernel_loss(executor, poisoned, target, mask, options).item<double>()));
  }
}

TEST_CASE("patches without contrast are their own mean", "[patches_and_loss][kernels]") {
  auto executor = executor_of(3);
  for (const double value : {0.1, 1000.0 / 3, -7e4}) {
    const auto target = at::full({1, 3, 14, 14}, value);
    const auto loss = kernel_loss(executor, at::zeros({1, 1, 588}), target, at::ones({1, 1}),
                                  PixelLossOptions(14).norm_pix(true));
    CHECK(loss.item<double>() == 0);
  }
}

TEST_CASE("the order of blocks and threads changes no bit of the loss",
          "[patches_and_loss][kernels]") {
  at::manual_seed(26);
  const auto prediction = at::randn({3, 35, 108});
  const auto images = at::randn({3, 3, 30, 42});
  const auto mask = at::rand({3, 35}).mul(at::rand({3, 35}).lt(0.7));
  const auto options = PixelLossOptions(6).norm_pix(true);
  auto executor = executor_of(0);
  const auto first = leaf_of(prediction);
  const auto loss = kernel_loss(executor, first, images, mask, options);
  loss.backward();
  for (uint64_t seed = 1; seed < 20; ++seed) {
    executor.use_seed(seed);
    const auto again = leaf_of(prediction);
    const auto same = kernel_loss(executor, again, images, mask, options);
    same.backward();
    CHECK(at::equal(same, loss));
    CHECK(at::equal(again.grad(), first.grad()));
  }
}

TEST_CASE("sums reach over any number of blocks", "[patches_and_loss][kernels]") {
  at::manual_seed(27);
  auto executor = executor_of(4);
  // 9025 weights: three sums of them, and more costs than the last block has threads.
  expect_oracle(executor, at::randn({1, 9025, 1}), at::randn({1, 1, 95, 95}), at::rand({1, 9025}),
                PixelLossOptions(1));
  // The last kernel alone, of more of each.
  for (const int64_t count : {1, 1023, 8192, 20000}) {
    const auto costs = at::rand({count}, at::kDouble);
    const auto sums = at::rand({75}, at::kDouble);
    const auto loss = at::empty({}, at::kDouble);
    using cuda::Argument;
    executor.launch(
        {"masked_loss.cuh", "add_costs<double>", 32 * sizeof(double)}, {1, 1024},
        {Argument::reads(costs), Argument::value(static_cast<int32_t>(count)),
         Argument::reads(sums), Argument::value(75), Argument::value(12), Argument::writes(loss)});
    const double expected = (costs.sum() / sums.sum() / 12).item<double>();
    CHECK(loss.item<double>() == Approx(expected).epsilon(1e-13));
  }
}

TEST_CASE("as many warps share a block as have room for their patches",
          "[patches_and_loss][kernels]") {
  const auto threads_for = [](int64_t size, at::ScalarType dtype) {
    auto executor = executor_of(5);
    expect_oracle(executor, at::randn({1, 6, 3 * size * size}),
                  at::randn({1, 3, 2 * size, 3 * size}).to(dtype), at::ones({1, 6}),
                  PixelLossOptions(size));
    return executor.launches()[1].shape.threads;
  };
  CHECK(threads_for(16, at::kFloat) == 256);
  CHECK(threads_for(32, at::kFloat) == 128);
  CHECK(threads_for(32, at::kDouble) == 64);
  CHECK(threads_for(64, at::kFloat) == 32);
  // Patches that no block has room for: operators serve.
  auto executor = executor_of(0);
  CHECK_FALSE(cuda::serves_loss(executor, at::empty({1, 1, 3 * 224 * 224}), at::empty({1, 1, 1})));
  executor.allow_shared_bytes(99 * 1024);
  CHECK(cuda::serves_loss(executor, at::empty({1, 1, 3 * 91 * 91}), at::empty({1, 1, 1})));
  CHECK_FALSE(cuda::serves_loss(executor, at::empty({1, 1, 3 * 92 * 92}), at::empty({1, 1, 1})));
}

namespace {

struct Batch {
  at::Tensor images = at::randn({2, 3, 8, 12});
  at::Tensor prediction = at::randn({2, 6, 48});
  at::Tensor mask = at::tensor({1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1}).view({2, 6}).to(at::kFloat);
  PixelLossOptions options = PixelLossOptions(4).norm_pix(true);

  at::Tensor leaf(at::ScalarType dtype) const { return leaf_of(prediction.to(dtype).clone()); }
};

at::Tensor only_gradient(const at::Tensor& output, const at::Tensor& input, bool keep_graph,
                         bool create_graph) {
  return torch::autograd::grad({output}, {input}, {}, keep_graph, create_graph).at(0);
}

}  // namespace

TEST_CASE("the gradient of a scaled loss is scaled where it lies", "[patches_and_loss][kernels]") {
  const Batch batch;
  for (const auto dtype : floating) {
    auto executor = executor_of(6);
    const auto plain = batch.leaf(dtype);
    kernel_loss(executor, plain, batch.images, batch.mask, batch.options).backward();
    for (const double factor : {1.0, 4.0, -0.5, 0.0, 1024.0}) {
      const auto leaf = batch.leaf(dtype);
      auto again = executor_of(7);
      const auto loss = kernel_loss(again, leaf, batch.images, batch.mask, batch.options);
      (loss * factor).backward();
      CHECK(leaf.grad().scalar_type() == dtype);
      // Powers of 2; but for float16, which is rounded after the product.
      if (dtype != at::kHalf) CHECK(at::equal(leaf.grad(), plain.grad() * factor));
      CHECK(launched(again, "scale_gradient<") == (dtype == at::kFloat || dtype == at::kBFloat16));
    }
  }
  // An odd number of values.
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto executor = executor_of(8);
    const auto gradient = at::randn({3, 7, 83}).to(dtype);
    const auto expected = gradient * 3;
    cuda::scale_in_place(executor, gradient, at::_neg_view(at::full({}, -3.0f)));
    CHECK(at::equal(gradient, expected));
    CHECK(launched(executor, dtype == at::kFloat ? "scale_gradient<float, 1>"
                                                 : "scale_gradient<bfloat16, 1>"));
  }
  // More than the blocks take at once.
  auto executor = executor_of(9);
  const auto gradient = at::randn({4, 100, 192});
  const auto expected = gradient * 3;
  cuda::scale_in_place(executor, gradient, at::full({}, 3.0f));
  CHECK(at::equal(gradient, expected));
  CHECK(executor.launches()[0].shape.blocks == 32);
}

TEST_CASE("a graph that is kept gives the kernels' gradient again", "[patches_and_loss][kernels]") {
  const Batch batch;
  for (const auto dtype : floating) {
    auto executor = executor_of(10);
    const auto leaf = batch.leaf(dtype);
    const auto loss = kernel_loss(executor, leaf, batch.images, batch.mask, batch.options);
    const auto scaled = loss * 2;
    const auto first = only_gradient(loss, leaf, /*keep_graph=*/true, false);
    const auto copy = first.clone();
    const auto twice = only_gradient(scaled, leaf, /*keep_graph=*/true, false);
    // float16 is rounded after the product.
    if (dtype != at::kHalf) CHECK(at::equal(twice, copy * 2));
    first.mul_(5);
    CHECK(at::equal(only_gradient(loss, leaf, /*keep_graph=*/true, false), copy));
    loss.backward();
    CHECK(at::equal(leaf.grad(), copy));
    CHECK_THROWS_WITH(loss.backward(), ContainsSubstring("second time"));
  }
}

TEST_CASE("a loss scale keeps the kernels' small gradients of float16",
          "[patches_and_loss][kernels]") {
  Batch batch;
  batch.prediction = batch.prediction * 1e-2;
  batch.images = batch.images * 1e-2;
  batch.options.norm_pix(false);
  auto executor = executor_of(11);
  const auto leaf = batch.leaf(at::kHalf);
  (kernel_loss(executor, leaf, batch.images, batch.mask, batch.options) * 65536).backward();
  const auto expected =
      oracle::pixel_loss(leaf, batch.images, batch.mask, batch.options).gradient * 65536;
  CHECK(largest_difference(leaf.grad(), expected) <=
        0x1p-11 * expected.abs().max().item<double>() + 1e-6);
}

TEST_CASE("the kernels' loss has a first derivative and no second", "[patches_and_loss][kernels]") {
  const Batch batch;
  auto executor = executor_of(12);
  const auto leaf = batch.leaf(at::kFloat);
  const auto loss = kernel_loss(executor, leaf, batch.images, batch.mask, batch.options);
  const auto first = only_gradient(loss, leaf, true, /*create_graph=*/true);
  const auto expected = oracle::pixel_loss(leaf, batch.images, batch.mask, batch.options);
  CHECK(largest_difference(first, expected.gradient) < 1e-6);
  CHECK_THAT(support::error_of([&] { first.square().sum().backward(); }),
             ContainsSubstring("masked_pixel_loss: expected to be differentiated once"));
  // No gradient is computed where none is wanted.
  const at::NoGradGuard no_grad;
  const auto value = kernel_loss(executor, leaf, batch.images, batch.mask, batch.options);
  CHECK_FALSE(value.requires_grad());
  CHECK(at::equal(value, loss));
}
