// SPDX-License-Identifier: Apache-2.0
// What `pretrain` can be told: by recipe, by configuration file, by command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pretrain {

/// What the recipes start from; without --recipe and --host, `pixmim_vit_base_300e` is taken.
struct Options {
  std::string recipe = "pixmim_vit_base_300e";
  std::string host = "mae";

  std::string data;
  bool list_cache = true;
  std::string output = "output";
  std::string init;
  bool init_encoder_only = false;
  bool resume = false;
  bool overwrite = false;
  bool strict = false;

  std::string model = "base";
  int64_t image_size = 224;
  int64_t patch_size = 0;
  int64_t depth = 0;
  int64_t decoder_dim = 0;
  int64_t decoder_depth = 0;
  int64_t decoder_heads = 0;
  bool activation_checkpointing = false;
  int64_t decoder_downsampling = 1;
  int64_t pred_downsampling = 1;
  bool no_k_bias = false;
  std::string out_indices;
  double drop_path = 0;
  double mask_ratio = 0.75;
  int64_t mask_block = 2;
  int64_t mask_patch_size = 32;

  std::string crop = "src";
  std::string interpolation = "bilinear";
  double min_scale = 0.2;
  std::string pass_order = "pillow13";
  bool fast_decode = false;
  int64_t max_pixels = 178956970;
  int64_t shuffle_buffer = 10000;

  std::string target = "low-freq";
  double radius = 40;
  bool norm_pix = true;

  double epochs = 300;
  double warmup_epochs = 40;
  int64_t batch = 64;
  int64_t accumulate = 1;
  double base_lr = 1.5e-4;
  double min_lr = 0;
  double warmup_start = 1e-4;
  std::string schedule = "openmmlab";
  double step_epoch = 0;
  double step_factor = 0.1;
  double weight_decay = 0.05;
  std::string decay = "openmmlab";
  double beta1 = 0.9;
  double beta2 = 0.95;
  double clip_grad = 0;

  std::string device = "cpu";
  bool bf16 = false;
  int64_t threads = 0;
  int64_t workers = 2;
  int64_t prefetch = 2;
  int64_t cache_mib = 0;
  uint64_t seed = 0;
  int64_t steps = 0;
  double seconds = 0;
  int64_t save_every = 1000;
  int64_t pictures_every = 0;
  int64_t pictures = 6;

  int64_t effective_batch() const { return batch * accumulate; }
  /// lr = base_lr x batch / 256 (Goyal et al., arXiv 1706.02677), as MAE and PixMIM.
  double learning_rate() const { return base_lr * static_cast<double>(effective_batch()) / 256; }

  /// What two runs must share for one to go on where the other stopped, a line each.
  std::string identity() const;
};

/// Parses the command line. Returns false, with the exit code, if the program is done (--help, an
/// error).
bool parse(int argc, char** argv, Options& options, int& exit_code);

/// The options as a file that --config reads.
std::string to_toml(const Options& options);

}  // namespace pretrain
