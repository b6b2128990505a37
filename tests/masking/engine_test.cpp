// SPDX-License-Identifier: Apache-2.0
// The engine of the CPU against the plain operators: masks from noise, and the way of tokens.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <pixmim/masking.hpp>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/threads.hpp"

using pixmim::TokenMask;
namespace engine = pixmim::detail;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

void expect_same(const TokenMask& ours, const TokenMask& expected) {
  CHECK(ours.mask.scalar_type() == at::kFloat);
  CHECK(at::equal(ours.mask, expected.mask));
  CHECK(at::equal(ours.ids_keep, expected.ids_keep));
  CHECK(at::equal(ours.ids_restore, expected.ids_restore));
  CHECK((ours.mask.is_contiguous() && ours.ids_keep.is_contiguous() &&
         ours.ids_restore.is_contiguous()));
}

template <typename Plan>
void expect_as_operators(const at::Tensor& noise, const Plan& plan) {
  expect_same(engine::masks_from_noise_on_cpu(noise, plan),
              engine::masks_from_noise_by_operators(noise, plan));
}

struct Noise {
  std::string name;
  std::function<at::Tensor(int64_t, int64_t)> make;
};

/// Distributions that an order by buckets may stumble over.
std::vector<Noise> noises() {
  return {
      {"uniform",
       [](int64_t n, int64_t l) {
         return at::rand({n, l});
       }},
      {"normal",
       [](int64_t n, int64_t l) {
         return at::randn({n, l});
       }},
      {"heavy tails",
       [](int64_t n, int64_t l) {
         return at::randn({n, l}).pow(9).mul(1e20);
       }},
      {"two clusters",
       [](int64_t n, int64_t l) {
         return at::rand({n, l}).mul(1e-6).add(at::randint(2, {n, l}));
       }},
      {"few values",
       [](int64_t n, int64_t l) {
         return at::randint(4, {n, l}).to(at::kFloat);
       }},
      {"one value",
       [](int64_t n, int64_t l) {
         return at::full({n, l}, -3.5);
       }},
      {"rising",
       [](int64_t n, int64_t l) {
         return at::arange(n * l).view({n, l}).to(at::kFloat);
       }},
      {"falling",
       [](int64_t n, int64_t l) {
         return at::arange(n * l).neg().view({n, l}).to(at::kFloat);
       }},
      {"zeros of both signs",
       [](int64_t n, int64_t l) {
         return at::randint(-1, 2, {n, l}).to(at::kFloat).mul(-0.0F);
       }},
      {"a range that no float holds",
       [](int64_t n, int64_t l) {
         return at::rand({n, l}).sub(0.5).mul(3e38).mul(2);
       }},
      {"denormal",
       [](int64_t n, int64_t l) {
         return at::rand({n, l}).mul(1e-40F);
       }},
      {"special values",
       [](int64_t n, int64_t l) {
         const at::Tensor values =
             at::tensor({not_a_number, 0.0F, -0.0F, infinity, -infinity, -not_a_number, 1.0F});
         return values.index_select(0, at::randint(7, {n * l})).view({n, l});
       }},
  };
}

const std::vector<at::ScalarType>& dtypes() {
  static const std::vector<at::ScalarType> all = {at::kFloat, at::kDouble, at::kHalf,
                                                  at::kBFloat16};
  return all;
}

at::Generator seeded(uint64_t seed) {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

/// A mask whose ids are not contiguous, from one with ids in wider tensors.
TokenMask strided(const TokenMask& mask) {
  const auto spread = [](const at::Tensor& ids) { return at::stack({ids, ids}, 2).select(2, 0); };
  return {mask.mask, spread(mask.ids_keep), spread(mask.ids_restore)};
}

}  // namespace

TEST_CASE("masks from noise equal those of the operators", "[masking]") {
  for (const auto& noise : noises()) {
    for (const int64_t tokens : {1, 2, 3, 17, 49, 196, 1000}) {
      for (const auto dtype : dtypes()) {
        INFO(noise.name << ", " << tokens << " tokens, " << c10::toString(dtype));
        for (const int64_t kept : {int64_t{0}, tokens / 4, tokens}) {
          expect_as_operators(noise.make(3, tokens).to(dtype), engine::TokenPlan{tokens, kept});
        }
      }
    }
  }
  expect_as_operators(at::rand({2, 16384}), engine::TokenPlan{16384, 4096});
  expect_as_operators(at::rand({0, 9}), engine::TokenPlan{9, 3});
}

TEST_CASE("values at the ends of a dtype are put in order within memory", "[masking]") {
  const auto extremes = [](auto value) {
    using Limits = std::numeric_limits<decltype(value)>;
    std::vector<double> values = {0, -0.0, 1, Limits::infinity(), Limits::quiet_NaN()};
    for (const auto finite : {Limits::max(), Limits::min(), Limits::denorm_min()}) {
      values.push_back(finite);
      values.push_back(-finite);
    }
    values.push_back(-values[3]);
    return values;
  };
  const auto of_dtype = [&](at::ScalarType dtype) {
    if (dtype == at::kHalf) return extremes(c10::Half());
    if (dtype == at::kBFloat16) return extremes(c10::BFloat16());
    return dtype == at::kDouble ? extremes(double()) : extremes(float());
  };
  for (const auto dtype : dtypes()) {
    const std::vector<double> values = of_dtype(dtype);
    for (const double low : values) {
      for (const double high : values) {
        INFO(c10::toString(dtype) << ", from " << low << " to " << high);
        const at::Tensor share = at::rand({2, 50}, at::kDouble);
        const at::Tensor between = share.mul(high).add(share.neg().add(1).mul(low)).to(dtype);
        expect_as_operators(between, engine::TokenPlan{50, 12});
        const at::Tensor ends = at::tensor({low, high}, at::kDouble).to(dtype);
        const at::Tensor either =
            ends.index_select(0, at::randint(2, {100}, at::kLong)).view({2, 50});
        expect_as_operators(either, engine::TokenPlan{50, 12});
        expect_as_operators(either.narrow(1, 0, 2), engine::TokenPlan{2, 1});
      }
    }
  }
}

TEST_CASE("what is not a number comes last, and zero has no sign", "[masking]") {
  const auto order = [](const std::vector<float>& values) {
    return pixmim::mask_from_noise(at::tensor(values).unsqueeze(0), 0).ids_keep[0];
  };
  CHECK(at::equal(order({not_a_number, 1, -not_a_number, infinity, -1}),
                  at::tensor({4, 1, 3, 0, 2}, at::kLong)));
  CHECK(at::equal(order({0.0F, -0.0F, -1, 0.0F}), at::tensor({2, 0, 1, 3}, at::kLong)));
}

TEST_CASE("strided noise makes the same mask", "[masking]") {
  for (const auto dtype : dtypes()) {
    const at::Tensor noise = at::rand({5, 40}).to(dtype);
    const auto expected = pixmim::mask_from_noise(noise, 0.75);
    expect_same(pixmim::mask_from_noise(noise.t().contiguous().t(), 0.75), expected);
    const at::Tensor wide = at::stack({noise, noise.neg()}, 2);
    expect_same(pixmim::mask_from_noise(wide.select(2, 0), 0.75), expected);
    const at::Tensor one = noise.narrow(0, 2, 1);
    expect_same(pixmim::mask_from_noise(one.expand({5, 40}), 0.75),
                pixmim::mask_from_noise(one.repeat({5, 1}), 0.75));
    const at::Tensor negated =
        at::imag(at::complex(noise.to(at::kDouble), noise.to(at::kDouble)).conj());
    expect_same(pixmim::mask_from_noise(negated, 0.75),
                pixmim::mask_from_noise(negated.resolve_neg().clone(), 0.75));
  }
}

TEST_CASE("masks of blocks and squares equal those of the operators", "[masking]") {
  using engine::BlockWalk;
  for (const auto walk : {BlockWalk::RowByRow, BlockWalk::ColumnByColumn}) {
    for (const auto& [grid_h, grid_w, block] : std::vector<std::array<int64_t, 3>>{
             {1, 1, 1}, {4, 6, 2}, {5, 7, 3}, {7, 5, 4}, {3, 3, 8}, {16, 16, 4}, {28, 14, 1}}) {
      INFO(grid_h << "x" << grid_w << ", blocks of " << block);
      const int64_t tokens = grid_h * grid_w;
      for (const int64_t kept : {int64_t{0}, int64_t{1}, tokens / 3, tokens}) {
        const engine::BlockPlan plan{grid_h, grid_w, block, walk, kept};
        expect_as_operators(at::rand({4, plan.units()}), plan);
        expect_as_operators(at::zeros({4, plan.units()}, at::kDouble), plan);
      }
    }
  }
  for (const auto& [rows, columns, scale] :
       std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {2, 3, 4}, {6, 6, 8}, {5, 1, 3}, {9, 9, 1}}) {
    for (const int64_t hidden : {int64_t{0}, int64_t{1}, rows * columns}) {
      const engine::SquarePlan plan{rows, columns, scale, hidden};
      expect_as_operators(at::rand({3, plan.units()}), plan);
      expect_as_operators(at::rand({0, plan.units()}, at::kHalf), plan);
    }
  }
}

TEST_CASE("masks do not depend on the number of threads", "[masking]") {
  // Enough samples for several threads.
  const auto makers = std::vector<std::function<TokenMask()>>{
      [] { return pixmim::random_mask(300, 196, 0.75, {}, seeded(1)); },
      [] { return pixmim::joint_mask(300, 13, 15, 0.6, 4, {}, seeded(2)); },
      [] { return pixmim::grid_mask(300, 12, 16, 0.75, 4, {}, seeded(3)); },
      [] { return pixmim::patch_aligned_mask(300, 64, 16, 4, 0.6, {}, seeded(4)); },
      [] {
        return pixmim::block_mask(300, 14, 14, pixmim::BlockMaskOptions(75).exact(true), {},
                                  seeded(5));
      },
      [] {
        return pixmim::mask_from_noise(at::rand({300, 196}, seeded(6)), 0.75);
      },
  };
  for (const auto& make : makers) {
    expect_same(support::with_threads(2, make), support::with_threads(1, make));
  }
  const auto noise = [] {
    return pixmim::keyed_noise(at::arange(500), at::scalar_tensor(3, at::kLong), 99, 7);
  };
  CHECK(at::equal(support::with_threads(2, noise), support::with_threads(1, noise)));
}

TEST_CASE("a sample's mask does not depend on the batch after it", "[masking]") {
  const auto all = pixmim::random_mask(40, 50, 0.75, {}, seeded(8));
  const auto few = pixmim::random_mask(3, 50, 0.75, {}, seeded(8));
  CHECK(at::equal(few.ids_restore, all.ids_restore.narrow(0, 0, 3)));
}

TEST_CASE("keyed noise is LibTorch's Philox stream", "[masking]") {
  // Longer than the widest register, and no multiple of it.
  constexpr int64_t tokens = 333;
  constexpr uint64_t seed = 0x123456789abcdef0;
  const int64_t largest = std::numeric_limits<int64_t>::max();
  const auto index = at::tensor({int64_t{0}, int64_t{5}, int64_t{1} << 40, largest}, at::kLong);
  for (const int64_t epoch : {int64_t{0}, int64_t{1}, (int64_t{1} << 32) - 1}) {
    const at::Tensor noise =
        pixmim::keyed_noise(index, at::scalar_tensor(epoch, at::kLong), tokens, seed);
    for (int64_t n = 0; n < index.size(0); ++n) {
      at::philox_engine engine(seed, static_cast<uint64_t>(index[n].item<int64_t>()), 0);
      engine.set_offset(static_cast<uint64_t>(epoch) << 32 | uint64_t{1} << 31);
      bool equal = true;
      for (int64_t i = 0; i < tokens; ++i) {
        equal = equal &&
                noise[n][i].item<float>() == std::ldexp(static_cast<float>(engine() >> 8), -24);
      }
      CHECK(equal);
    }
  }
}

TEST_CASE("kept and restored tokens equal those of the operators", "[masking]") {
  for (const double ratio : {0.0, 0.7, 1.0}) {
    const auto mask = pixmim::random_mask(3, 20, ratio);
    for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble, at::kLong,
                             at::kByte, at::kBool, at::kComplexFloat, at::kComplexDouble}) {
      INFO(c10::toString(dtype) << ", ratio " << ratio);
      for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
               {3, 20}, {3, 20, 0}, {3, 20, 1}, {3, 20, 67}, {3, 20, 2, 3, 5}}) {
        const at::Tensor tokens = at::randn(shape).mul(100).to(dtype);
        CHECK(at::equal(mask.visible(tokens), engine::pick_rows(tokens, mask.ids_keep)));
      }
      const at::Tensor visible = at::randn({3, mask.ids_keep.size(1), 7}).mul(100).to(dtype);
      const at::Tensor token = at::randn({7}).mul(100).to(dtype);
      CHECK(at::equal(mask.restore(visible, token),
                      engine::restore_by_operators(visible, token, mask.ids_restore)));
    }
  }
}

TEST_CASE("strides of tokens and of ids do not matter to the engine", "[masking]") {
  const auto mask = pixmim::random_mask(4, 20, 0.7);
  const at::Tensor tokens = at::randn({4, 20, 6, 5});
  const at::Tensor expected = engine::pick_rows(tokens, mask.ids_keep);
  const std::vector<at::Tensor> layouts = {
      tokens.transpose(2, 3).contiguous().transpose(2, 3),
      tokens.transpose(0, 1).contiguous().transpose(0, 1),
      tokens.permute({3, 0, 1, 2}).contiguous().permute({1, 2, 3, 0}),
      at::cat({tokens, tokens}, 1).narrow(1, 20, 20),
      at::cat({tokens, tokens}, 3).narrow(3, 5, 5),
      tokens.neg()._neg_view(),
  };
  for (const auto& layout : layouts) {
    CHECK(at::equal(mask.visible(layout), expected));
    CHECK(at::equal(strided(mask).visible(layout), expected));
  }
  const at::Tensor conjugate = at::complex(tokens, tokens).conj();
  CHECK(at::equal(mask.visible(conjugate), at::complex(expected, expected.neg())));
  const at::Tensor visible = at::randn({4, 6, 9});
  const at::Tensor token = at::randn({9, 2}).select(1, 1);
  const at::Tensor full = engine::restore_by_operators(visible, token, mask.ids_restore);
  CHECK(at::equal(
      strided(mask).restore(visible.transpose(1, 2).contiguous().transpose(1, 2), token), full));
  CHECK(at::equal(mask.restore(visible.narrow(0, 0, 1).expand({4, 6, 9}), token),
                  mask.restore(visible.narrow(0, 0, 1).repeat({4, 1, 1}), token)));
}

TEST_CASE("tokens move alike with any number of threads, and so do gradients", "[masking]") {
  const auto mask = pixmim::random_mask(32, 196, 0.75);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    const at::Tensor tokens = at::randn({32, 196, 129}).to(dtype);
    const at::Tensor visible = at::randn({32, 49, 129}).to(dtype);
    const at::Tensor token = at::randn({129}).to(dtype);
    const auto all = [&] {
      const auto x = tokens.clone().requires_grad_();
      const auto v = visible.clone().requires_grad_();
      const auto t = token.clone().requires_grad_();
      const at::Tensor kept = mask.visible(x);
      const at::Tensor full = mask.restore(v, t);
      kept.backward(visible);
      full.backward(tokens);
      return std::vector<at::Tensor>{kept.detach(), full.detach(), x.grad(), v.grad(), t.grad()};
    };
    const auto one = support::with_threads(1, all);
    const auto two = support::with_threads(2, all);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(at::equal(one[i], two[i]));

    // Sums of 4704 numbers: half of the last place of what they are rounded to, and of what they are
    // summed in.
    const at::Tensor masked = mask.mask.unsqueeze(2).to(at::kDouble);
    const at::Tensor exact = tokens.to(at::kDouble).mul(masked).sum(at::IntArrayRef({0, 1}));
    const at::Tensor magnitudes =
        tokens.to(at::kDouble).abs().mul(masked).sum(at::IntArrayRef({0, 1}));
    const double sum_step = dtype == at::kDouble ? 1e-15 : 64 * 6e-8;
    const double rounding = dtype == at::kHalf ? 4.9e-4 : dtype == at::kBFloat16 ? 4e-3 : sum_step;
    const at::Tensor allowed = exact.abs().mul(rounding).add(magnitudes.mul(sum_step));
    CHECK(one[4].scalar_type() == dtype);
    CHECK((one[4].to(at::kDouble) - exact).abs().le(allowed).all().item<bool>());
  }
}

TEST_CASE("ids that do not fit are named before memory is touched", "[masking]") {
  const auto mask = pixmim::random_mask(2, 8, 0.5);
  const at::Tensor tokens = at::randn({2, 8, 3});
  const at::Tensor visible = at::randn({2, 4, 3});
  const auto expect_error = [&](const TokenMask& wrong, const std::string& message) {
    CHECK_THAT(support::error_of([&] { wrong.visible(tokens); }), ContainsSubstring(message));
    CHECK_THAT(support::error_of([&] { wrong.restore(visible, at::zeros({3})); }),
               ContainsSubstring(message));
  };
  // mask with ids_keep or ids_restore in which `change` has changed something.
  const auto with = [&](at::Tensor TokenMask::*ids, const auto& change) {
    TokenMask wrong = mask;
    wrong.*ids = (mask.*ids).clone();
    change(wrong.*ids);
    return wrong;
  };
  const auto keep = &TokenMask::ids_keep;
  const auto restore = &TokenMask::ids_restore;
  const int64_t far = std::numeric_limits<int64_t>::max();
  for (const int64_t id : {int64_t{8}, int64_t{-1}, far, -far}) {
    const std::string rest = " in [0, 8), got " + std::to_string(id);
    expect_error(with(keep, [&](at::Tensor& ids) { ids[1][3] = id; }),
                 "TokenMask: expected ids_keep" + rest);
    expect_error(with(restore, [&](at::Tensor& ids) { ids[1][7] = id; }),
                 "TokenMask: expected ids_restore" + rest);
  }
  expect_error(with(keep, [](at::Tensor& ids) { ids[1][3] = ids[1][0].clone(); }),
               "expected ids_restore to be the inverse of ids_keep");
  expect_error(with(restore, [](at::Tensor& ids) { ids.copy_(ids.flip({0})); }),
               "expected ids_restore to be the inverse of ids_keep");
  // Two masked tokens at one place: no memory is in danger, but a token is lost.
  expect_error(with(restore, [](at::Tensor& ids) { ids.masked_fill_(ids.eq(7), 6); }),
               "expected ids_restore to be a permutation, got place 6 twice in sample 0");

  const auto shapes = [](const std::string& rest) {
    return "expected ids_keep [N,K] and ids_restore [N,L] with K <= L, got " + rest;
  };
  expect_error(with(keep, [](at::Tensor& ids) { ids = ids.narrow(0, 0, 1); }),
               shapes("[1, 4] and [2, 8]"));
  expect_error(with(keep, [](at::Tensor& ids) { ids = ids[0]; }), shapes("[4] and [2, 8]"));
  expect_error(with(restore, [](at::Tensor& ids) { ids = ids.narrow(1, 0, 3); }),
               shapes("[2, 4] and [2, 3]"));
  expect_error(with(keep, [](at::Tensor& ids) { ids = ids.to(at::kInt); }),
               "expected ids_keep and ids_restore of dtype int64, got Int and Long");
  expect_error(with(restore, [](at::Tensor& ids) { ids = ids.to(at::kFloat); }),
               "expected ids_keep and ids_restore of dtype int64, got Long and Float");
  expect_error(with(restore,
                    [](at::Tensor& ids) {
                      ids = at::empty({2, 8}, at::kMeta);
                    }),
               "expected ids_restore on the device of ids_keep, cpu, got meta");
  expect_error(with(restore, [](at::Tensor& ids) { ids = at::Tensor(); }),
               "expected `ids_restore` to be a tensor, got an undefined one");
}

TEST_CASE("ids that are overwritten before backward are named there", "[masking]") {
  const auto mask = pixmim::random_mask(64, 196, 0.75);
  const auto tokens = at::randn({64, 196, 3}).requires_grad_();
  const auto visible = at::randn({64, 49, 3}).requires_grad_();
  const auto token = at::randn({3}).requires_grad_();
  const at::Tensor kept = mask.visible(tokens).sum();
  const at::Tensor full = mask.restore(visible, token).sum();
  const auto error = [](const at::Tensor& sum) {
    return support::error_of([&] { sum.backward({}, /*retain_graph=*/true); });
  };
  // Past autograd, which sees what operators write. From a thread of its own, the last samples.
  auto* const ids_restore = mask.ids_restore.mutable_data_ptr<int64_t>();
  const int64_t place = std::exchange(ids_restore[64 * 196 - 1], int64_t{1} << 40);
  CHECK_THAT(error(kept), ContainsSubstring("expected ids_restore in [0, 196), got 1099511627776"));
  CHECK_THAT(error(full), ContainsSubstring("expected ids_restore in [0, 196), got 1099511627776"));
  ids_restore[64 * 196 - 1] = place;
  CHECK(error(kept) == "(no error)");
  CHECK(error(full) == "(no error)");
}

TEST_CASE("batches of none, samples of no tokens, and masks of all and of none", "[masking]") {
  for (const int64_t batch : {0, 3}) {
    for (const int64_t tokens : {0, 8}) {
      for (const double ratio : {0.0, 1.0}) {
        INFO(batch << " samples of " << tokens << " tokens, ratio " << ratio);
        const int64_t kept = ratio == 0 ? tokens : 0;
        const auto numbers = at::arange(batch, at::kLong);
        const auto noise = pixmim::keyed_noise(numbers, numbers, tokens, 1);
        const engine::TokenPlan plan{tokens, kept};
        expect_as_operators(noise, plan);
        for (const TokenMask& mask :
             {pixmim::random_mask(batch, tokens, ratio), pixmim::mask_from_noise(noise, ratio)}) {
          CHECK(mask.mask.sizes() == at::IntArrayRef({batch, tokens}));
          CHECK(mask.ids_keep.sizes() == at::IntArrayRef({batch, kept}));
          const auto x = at::randn({batch, tokens, 5}).requires_grad_();
          const auto token = at::randn({5}).requires_grad_();
          const at::Tensor full = mask.restore(mask.visible(x), token);
          CHECK(at::equal(full, ratio == 0 ? x : token.expand({batch, tokens, 5})));
          full.sum().backward();
          CHECK(at::equal(x.grad(), at::full_like(x, 1 - ratio)));
          CHECK(
              at::equal(token.grad(), at::full({5}, ratio * static_cast<double>(batch * tokens))));
        }
      }
    }
  }
}
