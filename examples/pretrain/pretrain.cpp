// SPDX-License-Identifier: Apache-2.0
// Pretrains a Masked Autoencoder on a folder of photographs, with PixMIM or without it.
#include <torch/utils.h>
#include <pixmim/pixmim.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>

#include "data/decode.hpp"
#include "data/loader.hpp"
#include "data/source.hpp"
#include "mae/mae.hpp"
#include "pretrain/autocast.hpp"
#include "pretrain/checkpoint.hpp"
#include "pretrain/input.hpp"
#include "pretrain/interrupt.hpp"
#include "pretrain/loss_log.hpp"
#include "pretrain/optimizer.hpp"
#include "pretrain/options.hpp"
#include "pretrain/pictures.hpp"
#include "pretrain/progress.hpp"
#include "pretrain/target.hpp"

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

class Trainer {
 public:
  explicit Trainer(const Options& options)
      : options_(options),
        device_(options.device),
        photographs_(open_photographs(options)),
        output_(options.output),
        crop_(make_crop(options)),
        model_(make_model(options)),
        target_(options, model_->options.patch_size()) {
    fs::create_directories(output_);
    model_->to(device_);
    optimizer_.emplace(make_optimizer(*model_, options_));
    const double wanted = options_.epochs / epochs_per_step();
    progress_.total_steps =
        options_.steps > 0 ? options_.steps : std::max<int64_t>(1, std::llround(wanted));
    resume();
    replace_file(output_ / "run.toml", [this](const std::string& name) {
      std::ofstream file(name);
      if (!(file << to_toml(options_)).flush()) throw std::runtime_error("cannot write " + name);
    });
  }

  int run() {
    announce();
    const Interrupt interrupt;
    LossLog log(output_ / "loss.csv", progress_.step);
    ProgressLine line(progress_.total_steps, options_.effective_batch(), options_.workers);
    data::Loader loader(photographs_, crop_, loader_options(options_, progress_.step));

    if (progress_.step == 0) draw();
    const int64_t first_step = progress_.step;
    while (progress_.step < progress_.total_steps) {
      double loss = 0;
      int64_t images = 0;
      for (int64_t forward = 0; forward < options_.accumulate; ++forward) {
        const data::Batch batch = loader.next();
        if (batch.images.defined()) {
          loss += accumulate(batch);
          images += batch.images.size(0);
        }
        TORCH_CHECK(loader.bad_images().count() < photographs_->size(), "none of the images in ",
                    options_.data, " can be read");
      }

      const double rate = schedule().at(static_cast<double>(progress_.step));
      if (images > 0) {
        TORCH_CHECK(std::isfinite(loss), "the loss is ", loss, " in step ", progress_.step,
                    ": stopping; the last checkpoint is from before");
        set_learning_rate(*optimizer_, rate);
        optimizer_->step();
        optimizer_->zero_grad();
      }
      if (images == 0) loss = std::numeric_limits<double>::quiet_NaN();  // nothing was learnt
      ++progress_.step;
      log.add(progress_.step - 1, epoch(), rate, loss);
      if (options_.seconds > 0) fit_into_time(line, progress_.step - first_step);
      line.update(progress_.step, epoch(), loss, rate, images, loader.statistics());

      const bool done = progress_.step >= progress_.total_steps || interrupt.signal() != 0;
      if (done || progress_.step % options_.save_every == 0) save();
      if (options_.pictures_every > 0 && progress_.step % options_.pictures_every == 0) draw();
      if (done) break;
    }
    return finish(line, loader.bad_images(), interrupt.signal());
  }

 private:
  double epochs_per_step() const {
    return static_cast<double>(options_.effective_batch()) /
           static_cast<double>(photographs_->size());
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

  /// Random masks, each of which depends on the seed and on its own sample alone.
  pixmim::TokenMask masks(const torch::Tensor& index, const torch::Tensor& epoch) const {
    const auto noise =
        pixmim::keyed_noise(index, epoch, model_->options.num_patches(), options_.seed);
    return pixmim::mask_from_noise(noise.to(device_), options_.mask_ratio);
  }

  /// Forward and backward of one batch. Returns its share of the step's loss.
  double accumulate(const data::Batch& batch) {
    model_->train();
    const auto images = batch.images.to(device_, /*non_blocking=*/true);
    const auto mask = masks(batch.index, batch.epoch);
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
    if (line.elapsed() >= options_.seconds) {
      progress_.total_steps = progress_.step;
      line.set_total_steps(progress_.total_steps);
      return;
    }
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
    constexpr uint64_t epoch = uint64_t{1} << 31;  // none that is trained on
    const uint64_t wanted =
        std::min(static_cast<uint64_t>(options_.pictures), photographs_->size());
    const torch::NoGradGuard no_grad;
    data::Decoder decoder(decode_options(options_));
    std::vector<uint8_t> bytes;
    std::vector<torch::Tensor> crops;
    std::vector<int64_t> indices;
    for (uint64_t i = 0; i < wanted; ++i) {
      const uint64_t index = i * photographs_->size() / wanted;
      const auto crop = torch::empty({3, options_.image_size, options_.image_size});
      try {
        photographs_->read(index, bytes);
        crop_(decoder.decode(bytes), {index, epoch}, crop);
      } catch (const data::BadImage&) {  // the loader tells of it
        continue;
      }
      crops.push_back(crop);
      indices.push_back(static_cast<int64_t>(index));
    }
    if (crops.empty()) return;

    model_->eval();
    const auto images = torch::stack(crops).to(device_);
    const auto target = target_(images);
    const auto mask = masks(torch::tensor(indices), torch::tensor(static_cast<int64_t>(epoch)));
    const auto prediction = model_->forward(images, mask).cpu();
    write_reconstructions(output_ / "reconstructions.png", images.cpu(), target.cpu(), prediction,
                          mask, model_->options.patch_size(), options_.norm_pix);
    write_targets(output_ / "targets.png", images.cpu(), target.cpu());
  }

  void announce() const {
    for (const auto& warning : photographs_->warnings()) {
      TORCH_CHECK(!options_.strict, warning);
      std::fprintf(stderr, "warning: %s\n", warning.c_str());
    }
    int64_t parameters = 0;
    for (const auto& parameter : model_->parameters()) parameters += parameter.numel();
    std::printf(
        "%llu photographs; ViT-%s, %.1f M parameters, %lld x %lld pixels; %lld steps of %lld\n",
        static_cast<unsigned long long>(photographs_->size()), options_.model.c_str(),
        static_cast<double>(parameters) / 1e6, static_cast<long long>(options_.image_size),
        static_cast<long long>(options_.image_size), static_cast<long long>(progress_.total_steps),
        static_cast<long long>(options_.effective_batch()));
  }

  int finish(const ProgressLine& line, const data::BadImages& bad_images, int signal) {
    const auto bad = bad_images.count();
    const auto named = bad_images.named();
    std::printf("%s%lld images in %.1f s; skipped files: %llu\n", signal != 0 ? "\n" : "",
                static_cast<long long>(line.images()), line.elapsed(),
                static_cast<unsigned long long>(bad));
    for (const auto& entry : named) std::printf("  %s\n", entry.second.c_str());
    if (bad > named.size()) {
      std::printf("  and %llu more\n", static_cast<unsigned long long>(bad - named.size()));
    }
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
  std::shared_ptr<const data::Source> photographs_;
  fs::path output_;
  data::Crop crop_;
  mae::MaskedAutoencoder model_;
  Target target_;
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
