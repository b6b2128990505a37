// SPDX-License-Identifier: Apache-2.0
// Pretrains a model of the MAE family on photographs, with PixMIM or without it.
#include <torch/cuda.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/utils.h>
#include <pixmim/pixmim.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <stdexcept>

#include "data/decode.hpp"
#include "data/loader.hpp"
#include "data/source.hpp"
#include "pretrain/checkpoint.hpp"
#include "pretrain/host.hpp"
#include "pretrain/input.hpp"
#include "pretrain/interrupt.hpp"
#include "pretrain/loss_log.hpp"
#include "pretrain/optimizer.hpp"
#include "pretrain/options.hpp"
#include "pretrain/pictures.hpp"
#include "pretrain/progress.hpp"
#include "pretrain/recipes.hpp"
#include "pretrain/target.hpp"
#include "vit/autocast.hpp"
#include "weights/load.hpp"
#include "weights/replace_file.hpp"

namespace fs = std::filesystem;

namespace pretrain {
namespace {

/// Throws c10::Error if there is no such device, before anything else takes time.
torch::Device checked_device(const std::string& name) {
  const torch::Device device(name);
  TORCH_CHECK(device.is_cpu() || device.is_cuda(),
              "--device: expected cpu, cuda, cuda:1, ..., got ", name);
  const auto devices = device.is_cuda() ? static_cast<int64_t>(torch::cuda::device_count()) : 1;
  TORCH_CHECK(device.index() < devices && devices > 0, "--device ", name, ": LibTorch finds ",
              devices, " CUDA devices");
  return device;
}

std::string photographs_text(const data::Source& photographs) {
  char text[64];
  std::snprintf(text, sizeof text, "%llu files, %016llx",
                static_cast<unsigned long long>(photographs.size()),
                static_cast<unsigned long long>(photographs.fingerprint()));
  return text;
}

class Trainer {
 public:
  explicit Trainer(const Options& options)
      : options_(options),
        device_(checked_device(options.device)),
        photographs_(open_photographs(options)),
        identity_{options.identity(), photographs_text(*photographs_)},
        output_(options.output),
        crop_(make_crop(options)),
        host_(make_host(options)),
        target_(options) {
    fs::create_directories(output_);
    if (!resumes()) initialize();
    host_->module().to(device_);
    optimizer_ = make_optimizer(host_->module(), options_);
    const double wanted = options_.epochs / epochs_per_step();
    progress_.total_steps =
        options_.steps > 0 ? options_.steps : std::max<int64_t>(1, std::llround(wanted));
    resume();
    weights::replace_file(output_ / "run.toml", [this](const fs::path& temporary) {
      std::ofstream file(temporary);
      if (!(file << to_toml(options_)).flush())
        throw std::runtime_error("cannot write " + temporary.string());
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
      auto sum = torch::zeros({}, torch::TensorOptions(torch::kDouble).device(device_));
      int64_t images = 0;
      for (int64_t forward = 0; forward < options_.accumulate; ++forward) {
        const data::Batch batch = loader.next();
        if (batch.images.defined()) {
          seed_forward(forward);
          sum += accumulate(batch);
          images += batch.images.size(0);
        }
        TORCH_CHECK(loader.bad_images().count() < photographs_->size(), "none of the images in ",
                    options_.data, " can be read");
      }

      const double rate = schedule().at(static_cast<double>(progress_.step));
      // Nothing is learnt without images. With them: the one place where a step waits for the GPU.
      double loss = std::numeric_limits<double>::quiet_NaN();
      if (images > 0) {
        loss = sum.item<double>();
        TORCH_CHECK(std::isfinite(loss), "the loss is ", loss, " in step ", progress_.step,
                    ": stopping; the last checkpoint is from before");
        set_learning_rate(*optimizer_, rate);
        if (options_.clip_grad > 0) {
          torch::nn::utils::clip_grad_norm_(host_->module().parameters(), options_.clip_grad);
        }
        optimizer_->step();
        optimizer_->zero_grad();
      }
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
            total,
            options_.epochs > 0 ? total * options_.step_epoch / options_.epochs : 0,
            options_.step_factor};
  }

  /// Random masks, each of which depends on the seed and on its own sample alone.
  pixmim::TokenMask masks(const torch::Tensor& index, const torch::Tensor& epoch) const {
    return host_->mask(
        pixmim::keyed_noise(index, epoch, host_->mask_noise(), options_.seed).to(device_));
  }

  /// What a model draws (SimMIM: which branches it leaves out) depends on the seed and on the number
  /// of the forward pass, so that a run that is resumed draws the same.
  void seed_forward(int64_t forward) const {
    const auto number = static_cast<uint64_t>(progress_.step * options_.accumulate + forward);
    torch::manual_seed(options_.seed + (number + 1) * 0x9E3779B97F4A7C15);
  }

  /// What the loss is taken against.
  torch::Tensor target(const torch::Tensor& images, const pixmim::TokenMask& mask) const {
    return target_(images, host_->prediction_patch_size(), host_->prediction_mask(mask));
  }

  /// Forward and backward of one batch. Returns its share of the step's loss.
  torch::Tensor accumulate(const data::Batch& batch) {
    host_->module().train();
    const auto images = batch.images.to(device_, /*non_blocking=*/true);
    const auto mask = masks(batch.index, batch.epoch);
    torch::Tensor loss;
    {
      const vit::Autocast autocast(device_.type(), options_.bf16);
      loss = host_->loss(images, target(images, mask), mask) / options_.accumulate;
    }
    loss.backward();
    return loss.detach();
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

  fs::path checkpoint() const { return output_ / "checkpoint.pt"; }
  bool resumes() const { return options_.resume && fs::exists(checkpoint()); }

  void initialize() {
    TORCH_CHECK(!options_.init_encoder_only || !options_.init.empty(),
                "--init-encoder-only: expected --init FILE with it");
    if (options_.init.empty()) return;
    const auto report =
        weights::initialize(host_->module(), options_.init,
                            weights::LoadOptions().encoder_only(options_.init_encoder_only));
    std::printf("starts from %s (names: %s): %zu tensors", options_.init.c_str(),
                report.scheme.c_str(), report.loaded.size());
    if (!report.resized.empty()) std::printf(", positions resized");
    if (!report.left.empty()) std::printf("; %zu start anew", report.left.size());
    std::printf("\n");
  }

  void resume() {
    if (!fs::exists(checkpoint())) return;
    if (!options_.resume) {
      TORCH_CHECK(options_.overwrite, output_.string(),
                  " holds the checkpoint of an earlier run: give --resume to go on, --overwrite to "
                  "start anew, or another --output");
      fs::remove(checkpoint());
      return;
    }
    progress_ = load_checkpoint(checkpoint(), host_->module(), *optimizer_, identity_, device_);
    std::printf("resumed from step %lld\n", static_cast<long long>(progress_.step));
  }

  void save() { save_checkpoint(checkpoint(), host_->module(), *optimizer_, progress_, identity_); }

  /// Pictures of some photographs, the same in every run of one seed. Returns false if none of them
  /// can be read.
  bool draw() {
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
    if (crops.empty()) return false;

    host_->module().eval();
    const auto images = torch::stack(crops).to(device_);
    const auto target = target_(images);
    const auto mask = masks(torch::tensor(indices), torch::tensor(static_cast<int64_t>(epoch)));
    const auto prediction = host_->forward(images, mask).cpu();
    const int64_t grid = options_.image_size / host_->patch_size();
    const auto hidden = pixmim::upsample_mask(mask.mask.cpu(), grid, host_->patch_size());
    write_reconstructions(output_ / "reconstructions.png", images.cpu(), target.cpu(), prediction,
                          hidden, host_->prediction_patch_size(), options_.norm_pix);
    write_targets(output_ / "targets.png", images.cpu(), target.cpu());
    return true;
  }

  void warn() const {
    std::fflush(stdout);
    for (const auto& warning : photographs_->warnings()) {
      TORCH_CHECK(!options_.strict, warning);
      std::fprintf(stderr, "warning: %s\n", warning.c_str());
    }
  }

  void announce() const {
    warn();
    const Options published = recipe(options_.recipe);
    if (options_.target == "low-freq" && options_.radius == published.radius &&
        options_.image_size != published.image_size) {
      std::fprintf(
          stderr,
          "note: this run's radius, %g, is meant for images of %lld pixels; --radius %g would "
          "be in proportion (docs/hosts.md)\n",
          published.radius, static_cast<long long>(published.image_size),
          published.radius * static_cast<double>(options_.image_size) /
              static_cast<double>(published.image_size));
    }
    int64_t parameters = 0;
    for (const auto& parameter : host_->module().parameters()) parameters += parameter.numel();
    std::printf("%llu photographs; %s, %.1f M parameters, %lld x %lld pixels; %lld steps of %lld\n",
                static_cast<unsigned long long>(photographs_->size()), host_->name().c_str(),
                static_cast<double>(parameters) / 1e6, static_cast<long long>(options_.image_size),
                static_cast<long long>(options_.image_size),
                static_cast<long long>(progress_.total_steps),
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
    warn();  // the first ones are far up by now
    if (signal != 0) {
      std::printf("stopped by a signal; go on with --resume\n");
      return 128 + signal;
    }
    TORCH_CHECK(bad == 0 || line.images() > 0,
                "none of the images that were tried can be read: nothing was learnt");
    const bool drawn = draw();
    std::printf("%s holds checkpoint.pt, loss.csv, run.toml%s\n", output_.c_str(),
                drawn ? ", reconstructions.png, targets.png" : "; no picture could be made");
    return 0;
  }

  Options options_;
  torch::Device device_;
  std::shared_ptr<const data::Source> photographs_;
  Identity identity_;
  fs::path output_;
  data::Crop crop_;
  std::unique_ptr<Host> host_;
  Target target_;
  std::unique_ptr<torch::optim::AdamW> optimizer_;
  Progress progress_;
  double measured_from_ = 0;
};

}  // namespace
}  // namespace pretrain

int main(int argc, char** argv) {
  try {
    pretrain::Options options;
    int exit_code = 0;
    if (!pretrain::parse(argc, argv, options, exit_code)) return exit_code;
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
