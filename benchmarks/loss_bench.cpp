// SPDX-License-Identifier: Apache-2.0
// Times the pixel loss, its gradient and the patches beside MAE's forward_loss and patchify.

#include <pixmim/loss.hpp>
#include <pixmim/patches.hpp>

#include "defaults.hpp"

namespace {

/// MAE models_mae.py patchify.
at::Tensor mae_patchify(const at::Tensor& images, int64_t p) {
  const int64_t h = images.size(2) / p;
  const int64_t w = images.size(3) / p;
  const at::Tensor x = images.reshape({images.size(0), 3, h, p, w, p});
  return at::einsum("nchpwq->nhwpqc", {x}).reshape({images.size(0), h * w, p * p * 3});
}

/// MAE models_mae.py unpatchify, of a square image.
at::Tensor mae_unpatchify(const at::Tensor& patches, int64_t p, int64_t side) {
  const at::Tensor x = patches.reshape({patches.size(0), side, side, p, p, 3});
  return at::einsum("nhwpqc->nchpwq", {x}).reshape({patches.size(0), 3, side * p, side * p});
}

/// MAE models_mae.py forward_loss.
at::Tensor mae_loss(const at::Tensor& images, const at::Tensor& prediction, const at::Tensor& mask,
                    int64_t p, bool norm_pix) {
  at::Tensor target = mae_patchify(images, p);
  if (norm_pix) {
    const at::Tensor mean = target.mean(-1, /*keepdim=*/true);
    const at::Tensor variance = target.var(-1, /*unbiased=*/true, /*keepdim=*/true);
    target = (target - mean) / (variance + 1e-6).pow(0.5);
  }
  const at::Tensor loss = (prediction - target).pow(2).mean(-1);
  return (loss * mask).sum() / mask.sum();
}

/// Forward and backward: the gradient of `loss(prediction)`.
template <typename Loss>
at::Tensor gradient(const at::Tensor& prediction, const Loss& loss) {
  const c10::AutoGradMode with_grad(true);
  const at::Tensor leaf = prediction.detach().requires_grad_();
  loss(leaf).backward();
  return leaf.grad();
}

/// Adds `what` and, before it, `what`_reference, after the check.
template <typename Ours, typename Reference>
void add_pair(const std::string& what, int64_t batch, const std::string& case_axes,
              std::size_t bytes, double tolerance, Ours ours, Reference reference) {
  const std::string axes = "/float32/N:" + std::to_string(batch) +
                           "/224x224/p:" + std::to_string(pixmim_bench::patch_size) + case_axes;
  pixmim_bench::expect_equal("loss/" + what + axes, ours(), reference(), tolerance);
  for (const int threads : pixmim_bench::thread_counts()) {
    const std::string end = axes + pixmim_bench::threads_axis(threads);
    const std::string reference_name = "loss/" + what + "_reference" + end;
    pixmim_bench::add({reference_name, threads, batch, bytes}, reference);
    pixmim_bench::add({"loss/" + what + end, threads, batch, bytes, reference_name}, ours);
  }
}

void add_patches(const at::Tensor& images) {
  constexpr int64_t p = pixmim_bench::patch_size;
  constexpr int64_t side = pixmim_bench::image_size / p;
  const at::Tensor patches = pixmim::patchify(images, p);
  add_pair(
      "patchify", images.size(0), "", 2 * images.nbytes(), 0,
      [=] { return pixmim::patchify(images, p); }, [=] { return mae_patchify(images, p); });
  add_pair(
      "unpatchify", images.size(0), "", 2 * images.nbytes(), 0,
      [=] {
        return pixmim::unpatchify(patches, p, {side, side});
      },
      [=] { return mae_unpatchify(patches, p, side); });
}

void add_loss(const at::Tensor& images, const at::Tensor& prediction, const at::Tensor& mask,
              bool norm_pix) {
  constexpr int64_t p = pixmim_bench::patch_size;
  const auto ours = [=](const at::Tensor& predicted) {
    return pixmim::masked_pixel_loss(predicted, images, mask,
                                     pixmim::PixelLossOptions(p).norm_pix(norm_pix));
  };
  const auto reference = [=](const at::Tensor& predicted) {
    return mae_loss(images, predicted, mask, p, norm_pix);
  };
  const std::string axes = "/norm_pix:" + std::to_string(static_cast<int>(norm_pix));
  const std::size_t read = images.nbytes() + prediction.nbytes();
  add_pair(
      "forward", images.size(0), axes, read, 1e-5, [=] { return ours(prediction); },
      [=] { return reference(prediction); });
  // A gradient is a difference by the number of masked pixels, near 2e6.
  add_pair(
      "backward", images.size(0), axes, read + prediction.nbytes(), 1e-10,
      [=] { return gradient(prediction, ours); }, [=] { return gradient(prediction, reference); });
}

void add_batch(int64_t batch) {
  const at::Device device = pixmim_bench::device();
  constexpr int64_t size = pixmim_bench::image_size;
  const at::Tensor images = at::randn({batch, 3, size, size}).to(device);
  const at::Tensor prediction = at::randn_like(pixmim::patchify(images, pixmim_bench::patch_size));
  const at::Tensor mask = at::rand({prediction.size(0), prediction.size(1)})
                              .lt(pixmim_bench::mask_ratio)
                              .to(device, at::kFloat);
  if (batch == pixmim_bench::batch) add_patches(images);
  add_loss(images, prediction, mask, /*norm_pix=*/false);
  add_loss(images, prediction, mask, /*norm_pix=*/true);
}

void add_rows() {
  add_batch(pixmim_bench::batch);
  // A training batch: its gradient does not fit the caches, nor what the C library keeps mapped.
  constexpr int64_t training_batch = 64;
  add_batch(training_batch);
}

}  // namespace

int main(int argc, char** argv) {
  return pixmim_bench::run(argc, argv, add_rows);
}
