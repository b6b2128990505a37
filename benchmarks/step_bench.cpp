// SPDX-License-Identifier: Apache-2.0
// Times whole training steps, plain and with PixMIM, and each component's part in them.

#include <pixmim/loss.hpp>

#include <memory>

#include "defaults.hpp"
#include "training_step.hpp"

namespace {

using pixmim_bench::TrainingStep;

/// A model takes gigabytes: one is there at a time, made by the first of its rows.
std::shared_ptr<TrainingStep> step_of(const pretrain::Options& options, int64_t batch) {
  static std::shared_ptr<TrainingStep> current;
  if (!current || current->options().recipe != options.recipe) {
    current.reset();
    current = std::make_shared<TrainingStep>(options, batch, pixmim_bench::device());
  }
  return current;
}

/// What the loss costs of a step, its gradient with it.
at::Tensor loss_of(const TrainingStep& step, const at::Tensor& target,
                   const pixmim::TokenMask& mask) {
  const at::AutoGradMode enable_grad(true);
  const auto& host = step.host();
  const at::Tensor weights = host.prediction_mask(mask);
  const int64_t width = 3 * host.prediction_patch_size() * host.prediction_patch_size();
  const at::Tensor prediction =
      at::zeros({weights.size(0), weights.size(1), width}, step.images().options())
          .requires_grad_();
  const auto options =
      pixmim::PixelLossOptions(host.prediction_patch_size())
          .norm_pix(step.options().norm_pix)
          .norm(step.options().host == "simmim" ? pixmim::PixelNorm::L1 : pixmim::PixelNorm::L2);
  pixmim::masked_pixel_loss(prediction, target, weights, options).backward();
  return prediction.grad();
}

void add_host(const std::string& plain_recipe, const std::string& pixmim_recipe, int64_t batch) {
  const int threads = pixmim_bench::thread_counts().back();
  const std::string end = pixmim_bench::threads_axis(threads);
  const auto options_of = [](const std::string& recipe) {
    auto options = pretrain::recipe(recipe);
    options.bf16 = false;
    options.activation_checkpointing = false;
    return options;
  };
  const auto pixmim_options = options_of(pixmim_recipe);
  const auto plain_options = options_of(plain_recipe);
  const std::string axes = "/N:" + std::to_string(batch) + end;
  const std::string name = "step/" + pixmim_options.host;
  const std::string plain = name + "/plain" + axes;
  const std::string whole = name + "/pixmim" + axes;
  pixmim_bench::add({plain, threads, batch}, [=] { return step_of(plain_options, batch)->run(); });
  pixmim_bench::add({whole, threads, batch, 0, plain},
                    [=] { return step_of(pixmim_options, batch)->run(); });
  // Parts of the step with PixMIM: their speedup is how often they go into it.
  pixmim_bench::add({name + "/part:mask" + axes, threads, batch, 0, whole},
                    [=] { return step_of(pixmim_options, batch)->mask().ids_restore; });
  pixmim_bench::add({name + "/part:target" + axes, threads, batch, 0, whole}, [=] {
    const auto step = step_of(pixmim_options, batch);
    return step->target(step->first_mask());
  });
  pixmim_bench::add({name + "/part:loss" + axes, threads, batch, 0, whole}, [=] {
    const auto step = step_of(pixmim_options, batch);
    return loss_of(*step, step->first_target(), step->first_mask());
  });
}

void add_rows() {
  add_host("mae_vit_base_300e", "pixmim_vit_base_300e", 4);
  add_host("convmae_base_1600e", "pixmim_convmae_base_1600e", 4);
  add_host("lsmae_vit_base_800e", "pixmim_lsmae_vit_base_800e", 2);
  add_host("mff_vit_base_300e", "pixmim_mff_vit_base_300e", 4);
  add_host("simmim_vit_base_800e", "pixmim_simmim_vit_base_800e", 4);
}

}  // namespace

int main(int argc, char** argv) {
  return pixmim_bench::run(argc, argv, add_rows);
}
