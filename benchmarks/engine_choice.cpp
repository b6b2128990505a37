// SPDX-License-Identifier: Apache-2.0
// Times both engines of the target for 210 sizes and radii, and what the cost model's choice loses.
// Prints a CSV line a pair, the worst decision last. One thread, one image of three channels.
// Beside the others it is no Google Benchmark and knows the engines by name.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <pixmim/low_freq_target.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

using pixmim::detail::BasisEngine;
using pixmim::detail::FftEngine;

constexpr int64_t channels = 3;

/// Seconds of the fastest call in about `budget` seconds.
template <typename Call>
double fastest(const Call& call, double budget) {
  call();
  double best = std::numeric_limits<double>::infinity();
  double spent = 0;
  do {
    const auto start = std::chrono::steady_clock::now();
    call();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, seconds);
    spent += seconds;
  } while (spent < budget);
  return best;
}

struct Pair {
  int64_t height;
  int64_t width;
  double radius;
};

/// Sizes from 32 to 1024: powers of two, multiples of patches, odd, prime and oblong ones; radii from
/// a twentieth of the half side to all of it.
std::vector<Pair> pairs() {
  const std::pair<int64_t, int64_t> sizes[] = {
      {32, 32},     {48, 48},     {64, 64},   {96, 96},   {98, 98},   {101, 101},
      {112, 112},   {128, 128},   {160, 160}, {192, 192}, {196, 196}, {224, 224},
      {225, 225},   {227, 227},   {256, 256}, {320, 320}, {384, 384}, {448, 448},
      {512, 512},   {518, 518},   {521, 521}, {640, 640}, {768, 768}, {1000, 1000},
      {1021, 1021}, {1024, 1024}, {32, 1024}, {1024, 32}, {224, 448}, {375, 500}};
  std::vector<Pair> result;
  for (const auto& [height, width] : sizes) {
    for (const double share : {0.05, 0.1, 0.2, 0.36, 0.5, 0.75, 1.0}) {
      const double half = static_cast<double>(std::max(height, width)) / 2;
      result.push_back({height, width, std::max(1.0, std::floor(share * half))});
    }
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  // Seconds a measurement; 0: one call.
  const double budget = argc > 1 ? std::stod(argv[1]) : 0.05;
  const c10::NoGradGuard no_grad;
  at::set_num_threads(1);
  at::manual_seed(0);
  const std::vector<pixmim::detail::Epilogue> epilogues(channels);
  pixmim::detail::ScratchPool pool;
  double worst = 1;
  double worst_to_rival = std::numeric_limits<double>::infinity();
  std::string worst_pair;
  std::string worst_rival_pair;
  std::puts("height,width,radius,basis_us,fft_us,rfft2_irfft2_us,model_basis,model_fft,chosen");
  for (const auto& [height, width, radius] : pairs()) {
    const at::Tensor image = at::randn({1, channels, height, width});
    const at::Tensor result = at::empty_like(image);
    const pixmim::Circle circle{radius};
    const auto gain = pixmim::detail::gain_table(circle, height, width);
    const BasisEngine<float> basis(gain);
    const FftEngine<float> fft(gain);
    const at::Tensor mask = pixmim::detail::real_half(gain.to_tensor()).to(at::kFloat);

    const double basis_seconds = fastest(
        [&] {
          basis.filter<false>(epilogues, image.const_data_ptr<float>(),
                              result.mutable_data_ptr<float>(), channels, pool);
        },
        budget);
    const double fft_seconds =
        fastest([&] { fft.filter<false>(epilogues, image[0], at::kFloat); }, budget);
    const double rival_seconds = fastest(
        [&] {
          at::fft_irfft2(at::fft_rfft2(image) * mask, at::IntArrayRef{height, width});
        },
        budget);

    const auto [highest_y, highest_x] = gain.reach(pixmim::detail::BasisPlan<float>::negligible);
    const auto costs = pixmim::detail::engine_costs<float>(height, width, highest_y, highest_x,
                                                           false, BasisEngine<float>::shape());
    const bool takes_basis = costs.basis < costs.fft;
    const double chosen = takes_basis ? basis_seconds : fft_seconds;
    const double loss = chosen / std::min(basis_seconds, fft_seconds);
    const std::string name = std::to_string(height) + "x" + std::to_string(width) +
                             " r=" + std::to_string(static_cast<int>(radius));
    if (loss > worst) worst = loss, worst_pair = name;
    if (rival_seconds / chosen < worst_to_rival) {
      worst_to_rival = rival_seconds / chosen;
      worst_rival_pair = name;
    }
    std::printf("%d,%d,%.0f,%.1f,%.1f,%.1f,%.1f,%.1f,%s\n", static_cast<int>(height),
                static_cast<int>(width), radius, basis_seconds * 1e6, fft_seconds * 1e6,
                rival_seconds * 1e6, costs.basis * channels / 1e3, costs.fft * channels / 1e3,
                takes_basis ? "basis" : "fft");
    std::fflush(stdout);
  }
  std::printf("worst decision: %.2fx slower than the other engine (%s)\n", worst,
              worst_pair.empty() ? "none" : worst_pair.c_str());
  std::printf("least ratio to rfft2-mask-irfft2: %.2fx (%s)\n", worst_to_rival,
              worst_rival_pair.c_str());
  return 0;
}
