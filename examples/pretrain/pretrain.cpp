// SPDX-License-Identifier: Apache-2.0
// Pretrains a Masked Autoencoder on a folder of photographs, with PixMIM or without it.
#include <ATen/Context.h>
#include <torch/data/dataloader.h>
#include <torch/utils.h>
#include <pixmim/pixmim.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "data/image_folder.hpp"
#include "data/photo_stream.hpp"
#include "mae/mae.hpp"
#include "pretrain/autocast.hpp"
#include "pretrain/checkpoint.hpp"
#include "pretrain/interrupt.hpp"
#include "pretrain/loss_log.hpp"
#include "pretrain/optimizer.hpp"
#include "pretrain/options.hpp"
#include "pretrain/pictures.hpp"
#include "pretrain/progress.hpp"

namespace fs = std::filesystem;

namespace pretrain {
namespace {

mae::MaskedAutoencoder make_model(const Options& options) {
  auto model = mae::MaskedAutoencoderOptions::vit(options.model)
                   .image_size(options.image_size)
                   .decoder_embed_dim(options.decoder_dim)
                   .decoder_depth(options.decoder_depth)
                   .decoder_num_heads(options.decoder_heads)
                   .norm_pix_loss(options.norm_pix);
  if (options.patch_size > 0) model.patch_size(options.patch_size);
  if (options.depth > 0) model.depth(options.depth);
  return mae::MaskedAutoencoder(model);
}

/// The input: PixMIM's Simple Resized Crop, or what it replaces.
data::Transform make_crop(const Options& options) {
  const auto interpolation = options.interpolation == "bicubic" ? pixmim::Interpolation::Bicubic
                                                                : pixmim::Interpolation::Bilinear;
  const auto order = options.pass_order == "pillow13" ? pixmim::PassOrder::Pillow13
                                                      : pixmim::PassOrder::HorizontalFirst;
  const auto transform = [seed = options.seed](auto crop) -> data::Transform {
    return [crop, seed](const torch::Tensor& image, data::SampleId id) {
      return crop.apply(image, crop.sample(image.size(0), image.size(1), seed, id.index, id.epoch));
    };
  };
  if (options.crop == "src") {
    return transform(pixmim::SimpleResizedCrop(pixmim::SimpleResizedCropOptions(options.image_size)
                                                   .interpolation(interpolation)
                                                   .pass_order(order)));
  }
  return transform(pixmim::RandomResizedCrop(pixmim::RandomResizedCropOptions(options.image_size)
                                                 .scale({options.min_scale, 1.0})
                                                 .interpolation(interpolation)
                                                 .pass_order(order)));
}

/// The target: PixMIM's low frequencies, or MAE's pixels.
class Target {
 public:
  explicit Target(const Options& options)
      : low_freq_(options.target == "low-freq"),
        patch_size_(options.patch_size),
        generator_(options.radius) {}

  torch::Tensor operator()(const torch::Tensor& images) const {
    return low_freq_ ? generator_(images) : images;
  }

  /// For the loss the low frequencies come as patches, and the masked ones alone.
  torch::Tensor operator()(const torch::Tensor& images, const pixmim::TokenMask& mask) const {
    return low_freq_ ? generator_.patches(images, patch_size_, mask.mask) : images;
  }

 private:
  bool low_freq_;
  int64_t patch_size_;
  pixmim::LowFreqTargetGenerator generator_;
};

/// Random masks that depend on the seed and the number of the batch alone.
class Masks {
 public:
  Masks(const Options& options, int64_t tokens, const torch::Device& device)
      : seed_(options.seed),
        ratio_(options.mask_ratio),
        tokens_(tokens),
        device_(device),
        generator_(at::globalContext().defaultGenerator(device).clone()) {}

  pixmim::TokenMask operator()(int64_t batch, int64_t number) {
    at::philox_engine random(seed_, static_cast<uint64_t>(number));
    generator_.set_current_seed(random());
    return pixmim::random_mask(batch, tokens_, ratio_, device_, generator_);
  }

 private:
  uint64_t seed_;
  double ratio_;
  int64_t tokens_;
  torch::Device device_;
  torch::Generator generator_;
};

class Trainer {
 public:
  explicit Trainer(const Options& options)
      : options_(options),
        device_(options.device),
        files_(data::list_images(options.data)),
        output_(options.output),
        crop_(make_crop(options)),
        target_(options),
        model_(make_model(options)),
        masks_(options, model_->options.num_patches(), device_) {
    fs::create_directories(output_);
    model_->to(device_);
    optimizer_.emplace(make_optimizer(*model_, options_));
    const double wanted = options_.epochs / epochs_per_step();
    progress_.total_steps =
        options_.steps > 0 ? options_.steps : std::max<int64_t>(1, std::llround(wanted));
    resume();
    replace_file(output_ / "run.toml",
                 [this](const std::string& name) { std::ofstream(name) << to_toml(options_); });
  }

  int run() {
    announce();
    const Interrupt interrupt;
    LossLog log(output_ / "loss.csv", progress_.step);
    ProgressLine line(progress_.total_steps);
    data::Photos photos(files_, crop_, options_.strict, /*in_worker=*/options_.workers > 0,
                        /*cache_bytes=*/options_.cache_mib << 20);
    const auto workers = static_cast<std::size_t>(options_.workers);
    const auto first_sample = static_cast<uint64_t>(progress_.step * options_.effective_batch());
    const auto loader = torch::data::make_data_loader(
        photos, data::EpochSampler(files_.size(), options_.seed, first_sample),
        torch::data::DataLoaderOptions()
            .batch_size(static_cast<std::size_t>(options_.batch))
            .workers(workers)
            .max_jobs(2 * workers));

    if (progress_.step == 0) draw();
    const int64_t first_step = progress_.step;
    if (progress_.step < progress_.total_steps) {
      int64_t forward = 0;
      double loss = 0;
      int64_t images = 0;
      for (const auto& batch : *loader) {
        if (batch.images.defined()) {
          loss += accumulate(batch.images, progress_.step * options_.accumulate + forward);
          images += batch.images.size(0);
        }
        TORCH_CHECK(photos.bad_images()->count() < files_.size(), "none of the images below ",
                    options_.data, " can be read");
        if (++forward < options_.accumulate) continue;

        const double rate = schedule().at(static_cast<double>(progress_.step));
        if (images > 0) {
          TORCH_CHECK(std::isfinite(loss), "the loss is ", loss, " in step ", progress_.step,
                      ": stopping; the last checkpoint is from before");
          set_learning_rate(*optimizer_, rate);
          optimizer_->step();
          optimizer_->zero_grad();
        }
        ++progress_.step;
        log.add(progress_.step - 1, epoch(), rate, loss);
        line.update(progress_.step, epoch(), loss, rate, images);
        if (options_.seconds > 0) fit_into_time(line, progress_.step - first_step);
        forward = 0;
        loss = 0;
        images = 0;

        const bool done = progress_.step >= progress_.total_steps || interrupt.signal() != 0;
        if (done || progress_.step % options_.save_every == 0) save();
        if (options_.pictures_every > 0 && progress_.step % options_.pictures_every == 0) draw();
        if (done) break;
      }
    }
    return finish(line, *photos.bad_images(), interrupt.signal());
  }

 private:
  double epochs_per_step() const {
    return static_cast<double>(options_.effective_batch()) / static_cast<double>(files_.size());
  }
  double epoch() const { return static_cast<double>(progress_.step) * epochs_per_step(); }

  Schedule schedule() const {
    // A run of another length than --epochs keeps the share of its warm-up.
    const double share = options_.epochs > 0 ? options_.warmup_epochs / options_.epochs : 0;
    const auto total = static_cast<double>(progress_.total_steps);
    const double warmup = options_.steps > 0 || options_.seconds > 0
                              ? std::round(total * share)
                              : options_.warmup_epochs / epochs_per_step();
    return {options_.schedule,
            options_.learning_rate(),
            options_.min_lr,
            options_.warmup_start,
            warmup,
            total};
  }

  /// Forward and backward of one batch. Returns its share of the step's loss.
  double accumulate(const torch::Tensor& batch, int64_t number) {
    model_->train();
    const auto images = batch.to(device_, /*non_blocking=*/true);
    const auto mask = masks_(images.size(0), number);
    torch::Tensor loss;
    {
      const Autocast autocast(device_.type(), options_.bf16);
      loss = model_->loss(images, target_(images, mask), mask);
    }
    loss = loss / options_.accumulate;
    loss.backward();
    return loss.item<double>();
  }

  /// Sets the number of steps by the time that is left, and again from time to time: a machine's
  /// speed changes.
  void fit_into_time(ProgressLine& line, int64_t steps_done) {
    constexpr int64_t slow_steps = 3;  // threads start, memory is first touched
    constexpr int64_t interval = 6;
    if (steps_done == slow_steps) measured_from_ = line.elapsed();
    if (steps_done <= slow_steps || (steps_done - slow_steps) % interval != 0) return;
    const double step_seconds =
        (line.elapsed() - measured_from_) / static_cast<double>(steps_done - slow_steps);
    const double fitting = (options_.seconds - line.elapsed()) / step_seconds;
    progress_.total_steps = progress_.step + std::max<int64_t>(std::llround(fitting), 0);
    line.set_total_steps(progress_.total_steps);
  }

  void resume() {
    const fs::path checkpoint = output_ / "checkpoint.pt";
    if (!fs::exists(checkpoint)) return;
    if (!options_.resume) {
      TORCH_CHECK(options_.overwrite, output_.string(),
                  " holds the checkpoint of an earlier run: give --resume to go on, --overwrite to "
                  "start anew, or another --output");
      fs::remove(checkpoint);
      return;
    }
    progress_ = load_checkpoint(checkpoint, *model_, *optimizer_, options_.identity(), device_);
    std::printf("resumed from step %lld\n", static_cast<long long>(progress_.step));
  }

  void save() {
    save_checkpoint(output_ / "checkpoint.pt", *model_, *optimizer_, progress_,
                    options_.identity());
  }

  /// Pictures of some photographs, the same in every run of one seed.
  void draw() {
    const auto wanted = std::min(static_cast<std::size_t>(options_.pictures), files_.size());
    std::vector<torch::Tensor> photos;
    for (std::size_t i = 0; i < wanted; ++i) {
      const std::size_t index = i * files_.size() / wanted;
      try {
        photos.push_back(crop_(data::read_image(files_[index]), {index, uint64_t{1} << 31}));
      } catch (const data::BadImage&) {  // the loader tells of it
      }
    }
    if (photos.empty()) return;

    const torch::NoGradGuard no_grad;
    model_->eval();
    const auto images = torch::stack(photos).to(device_);
    const auto target = target_(images);
    const auto mask = masks_(images.size(0), -1);
    const auto prediction = model_->forward(images, mask).cpu();
    write_reconstructions(output_ / "reconstructions.png", images.cpu(), target.cpu(), prediction,
                          mask, model_->options.patch_size(), options_.norm_pix);
    write_targets(output_ / "targets.png", images.cpu(), target.cpu());
  }

  void announce() const {
    int64_t parameters = 0;
    for (const auto& parameter : model_->parameters()) parameters += parameter.numel();
    std::printf(
        "%zu photographs; ViT-%s, %.1f M parameters, %lld x %lld pixels; %lld steps of %lld\n",
        files_.size(), options_.model.c_str(), static_cast<double>(parameters) / 1e6,
        static_cast<long long>(options_.image_size), static_cast<long long>(options_.image_size),
        static_cast<long long>(progress_.total_steps),
        static_cast<long long>(options_.effective_batch()));
  }

  int finish(const ProgressLine& line, const data::BadImages& bad_images, int signal) {
    const auto bad = bad_images.files();
    std::printf("%s%lld images in %.1f s; skipped files: %zu\n", signal != 0 ? "\n" : "",
                static_cast<long long>(line.images()), line.elapsed(), bad.size());
    for (const auto& [path, why] : bad) std::printf("  %s: %s\n", path.c_str(), why.c_str());
    if (signal != 0) {
      std::printf("stopped by a signal; go on with --resume\n");
      return 128 + signal;
    }
    draw();
    std::printf("%s holds checkpoint.pt, loss.csv, run.toml, reconstructions.png, targets.png\n",
                output_.c_str());
    return 0;
  }

  Options options_;
  torch::Device device_;
  std::vector<fs::path> files_;
  fs::path output_;
  data::Transform crop_;
  Target target_;
  mae::MaskedAutoencoder model_;
  Masks masks_;
  std::optional<torch::optim::AdamW> optimizer_;
  Progress progress_;
  double measured_from_ = 0;
};

}  // namespace
}  // namespace pretrain

int main(int argc, char** argv) {
  pretrain::Options options;
  int exit_code = 0;
  if (!pretrain::parse(argc, argv, options, exit_code)) return exit_code;
  try {
    torch::manual_seed(options.seed);
    if (options.threads > 0) torch::set_num_threads(static_cast<int>(options.threads));
    return pretrain::Trainer(options).run();
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "\npretrain: %s\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "\npretrain: %s\n", error.what());
  }
  return 1;
}
