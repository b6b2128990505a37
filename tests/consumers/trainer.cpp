// SPDX-License-Identifier: Apache-2.0
// A trainer that is plain C++ and knows pixmim by its CMake target alone.
#include <torch/torch.h>
#include <pixmim/pixmim.hpp>

#include <filesystem>

#ifdef PIXMIM_HAS_CUDA
#include <pixmim/detail/cuda/launcher_of.hpp>
static_assert(sizeof(pixmim::detail::cuda::kernel_sources) > 0, "kernels come with the headers");
#endif

int main() {
  // std::filesystem must be the compiler's own, not what LibTorch's package exports.
  const auto folder = std::filesystem::temp_directory_path() / "pixmim-consumer";
  std::filesystem::create_directories(folder / "a");
  std::filesystem::remove_all(folder);

  const auto photo = torch::randint(256, {60, 80, 3}, torch::kByte);
  const auto images = pixmim::SimpleResizedCrop(32)(photo).unsqueeze(0);
  const auto mask = pixmim::random_mask(1, 16, 0.75);
  const auto prediction = torch::zeros({1, 16, 8 * 8 * 3}, torch::requires_grad());
  const auto loss = pixmim::masked_pixel_loss(prediction, pixmim::low_freq_target(images, 8), mask,
                                              pixmim::PixelLossOptions(8).norm_pix(true));
  loss.backward();
  return loss.item<double>() > 0 && prediction.grad().isfinite().all().item<bool>() ? 0 : 1;
}
