// SPDX-License-Identifier: Apache-2.0
#include "pretrain/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "pretrain/recipes.hpp"

namespace pretrain {
namespace {

/// CLI11's own validators tell of ranges that end at the greatest number of C++.
CLI::Validator number(const std::string& expected, bool (*accepts)(double)) {
  const auto check = [expected, accepts](const std::string& text) -> std::string {
    double value = 0;
    const bool accepted = CLI::detail::lexical_cast(text, value) && accepts(value);
    return accepted ? "" : "expected " + expected + ", got " + text;
  };
  return CLI::Validator(check, "");
}

void add_options(CLI::App& app, Options& o) {
  const auto positive = number("a number > 0", [](double value) { return value > 0; });
  const auto not_negative = number("a number >= 0", [](double value) { return value >= 0; });
  const auto share =
      number("a number from 0 to 1", [](double value) { return value >= 0 && value <= 1; });
  const auto option = [&app](const std::string& name, auto& value, const std::string& help,
                             const char* group) {
    return app.add_option("--" + name, value, help)
        ->capture_default_str()
        ->take_last()
        ->group(group);
  };
  // On and off, on the command line and in a file: --name, --name=false.
  const auto flag = [&app](const std::string& name, bool& value, const std::string& help,
                           const char* group) {
    app.add_flag("--" + name + ",!--no-" + name, value, help)
        ->default_str(value ? "true" : "false")  // what a configuration file gets
        ->group(group);
  };

  constexpr auto files = "Files";
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", "", "Read options from a TOML file; the command line wins");
  option("recipe", o.recipe, "Start from these options", files)
      ->check(CLI::IsMember(recipe_names()));
  option("host", o.host, "The model that PixMIM is put into", files)
      ->check(CLI::IsMember(host_names()));
  option("data", o.data,
         "Folder of JPEG and PNG files, flat or by class; or a .tar of them, or a folder of *.tar",
         files)
      ->required();
  flag("list-cache", o.list_cache,
       "Keep the list of photographs from run to run (in $XDG_CACHE_HOME/pixmim or "
       "~/.cache/pixmim), "
       "for as long as no folder changes",
       files);
  option("output", o.output, "Folder for checkpoints, losses and pictures", files);
  option(
      "init", o.init,
      "Start from the weights of this file: .pth, .safetensors or a checkpoint.pt, of any scheme "
      "of names that convert reads",
      files);
  flag("init-encoder-only", o.init_encoder_only,
       "Take the encoder alone from --init; the decoder starts anew", files);
  flag("resume", o.resume, "Go on from the checkpoint in --output, if there is one", files);
  flag("overwrite", o.overwrite, "Start anew in an --output that holds a checkpoint", files);
  flag("strict", o.strict, "Stop at a file that cannot be read, instead of skipping it", files);
  option("save-every", o.save_every, "Steps between checkpoints", files)->check(positive);
  option("pictures-every", o.pictures_every,
         "Steps between pictures; 0: only before the first step and at the end", files)
      ->check(not_negative);
  option("pictures", o.pictures, "Photographs in a picture", files)->check(positive);

  constexpr auto model = "Model";
  option("model", o.model, "Size of the encoder; of convmae there is base", model)
      ->check(CLI::IsMember({"tiny", "small", "base", "large", "huge"}));
  option("image-size", o.image_size, "Side of the input in pixels", model)->check(positive);
  option("patch-size", o.patch_size, "Side of a patch in pixels; 0: 16, and 14 for huge", model)
      ->check(not_negative);
  option("depth", o.depth, "Blocks of the encoder (convmae: of its last stage); 0: the model's own",
         model)
      ->check(not_negative);
  option("decoder-dim", o.decoder_dim, "Width of the decoder; 0: the model's own", model)
      ->check(not_negative);
  option("decoder-depth", o.decoder_depth, "Blocks of the decoder; 0: the model's own", model)
      ->check(not_negative);
  option("decoder-heads", o.decoder_heads, "Heads of the decoder; 0: the model's own", model)
      ->check(not_negative);
  flag("activation-checkpointing", o.activation_checkpointing,
       "Keep what enters a block, and compute the rest again: less memory, more time", model);
  option("decoder-downsampling", o.decoder_downsampling,
         "lsmae: side of the squares of tokens that the decoder sees as one", model)
      ->check(positive);
  option("pred-downsampling", o.pred_downsampling,
         "lsmae: side of the squares of patches that are predicted as one", model)
      ->check(positive);
  flag("no-k-bias", o.no_k_bias, "lsmae: no bias of the keys", model);
  option("out-indices", o.out_indices,
         "mff: blocks whose outputs are fused, from 0, the last one too, as 1,3,11; none: its own",
         model);
  option("drop-path", o.drop_path, "simmim: how often a branch of the last block is left out",
         model)
      ->check(share);
  option("mask-ratio", o.mask_ratio, "Share of hidden patches", model)->check(share);
  option("mask-block", o.mask_block,
         "lsmae: side of the squares of patches that are hidden together", model)
      ->check(positive);
  option("mask-patch-size", o.mask_patch_size, "simmim: side of the hidden squares in pixels",
         model)
      ->check(positive);

  constexpr auto input = "Input";
  option("crop", o.crop, "src: Simple Resized Crop; rrc: RandomResizedCrop", input)
      ->check(CLI::IsMember({"src", "rrc"}));
  option("interpolation", o.interpolation, "Kernel of the resize", input)
      ->check(CLI::IsMember({"bilinear", "bicubic"}));
  option("min-scale", o.min_scale, "Least share of the area (rrc alone)", input)
      ->check(CLI::Range(1e-6, 1.0));
  option("pass-order", o.pass_order, "The Pillow to be equal to: 13, or those before", input)
      ->check(CLI::IsMember({"pillow13", "horizontal-first"}));
  flag("fast-decode", o.fast_decode,
       "Decode large JPEGs at 1/2, 1/4 or 1/8 where that leaves enough for the crop: faster, but "
       "other pixels, and other boxes of a RandomResizedCrop",
       input);
  option("max-pixels", o.max_pixels, "Larger images are refused as bad files", input)
      ->check(positive);
  option("shuffle-buffer", o.shuffle_buffer,
         "Photographs that are mixed at a time when they come from tar shards", input)
      ->check(not_negative);
  option("workers", o.workers, "Threads that read images; 0: none of its own", input)
      ->check(not_negative);
  option("prefetch", o.prefetch, "Batches that they make ahead", input)->check(positive);
  option("cache", o.cache_mib, "MiB of decoded images that are kept, for small data sets", input)
      ->check(not_negative);

  constexpr auto target = "Target";
  option("target", o.target, "What is reconstructed", target)
      ->check(CLI::IsMember({"low-freq", "pixels"}));
  option("radius", o.radius, "Radius of the low-pass circle in frequency bins", target)
      ->check(not_negative);
  flag("norm-pix", o.norm_pix, "Normalise each patch of the target", target);

  constexpr auto training = "Training";
  option("epochs", o.epochs, "Passes over the data", training)->check(not_negative);
  option("warmup-epochs", o.warmup_epochs, "Of these, with a rising learning rate", training)
      ->check(not_negative);
  option("batch", o.batch, "Images in a forward pass", training)->check(positive);
  option("accumulate", o.accumulate, "Forward passes in a step", training)->check(positive);
  option("blr", o.base_lr, "Learning rate for 256 images a step", training)->check(not_negative);
  option("min-lr", o.min_lr, "Learning rate at the end", training)->check(not_negative);
  option("warmup-start", o.warmup_start, "Share of the rate at the start (not mae)", training)
      ->check(share);
  option("schedule", o.schedule, "Whose warm-up and fall, to the step", training)
      ->check(CLI::IsMember({"openmmlab", "mae", "multistep"}));
  option("step-epoch", o.step_epoch, "When the rate falls (multistep)", training)
      ->check(not_negative);
  option("step-factor", o.step_factor, "To what share (multistep)", training)->check(share);
  option("weight-decay", o.weight_decay, "AdamW's", training)->check(not_negative);
  option("decay", o.decay,
         "Who is decayed: mae spares biases and norms, simmim the class token too, openmmlab all "
         "tokens",
         training)
      ->check(CLI::IsMember({"openmmlab", "mae", "simmim"}));
  option("beta1", o.beta1, "AdamW's", training)->check(share);
  option("beta2", o.beta2, "AdamW's", training)->check(share);
  option("clip-grad", o.clip_grad, "Greatest norm of all gradients together; 0: any", training)
      ->check(not_negative);
  option("seed", o.seed, "Of weights, order, crops and masks", training);
  option("steps", o.steps, "Length of the run, schedule included, in steps; 0: --epochs", training)
      ->check(not_negative);
  option("seconds", o.seconds,
         "Train for this time: the number of steps follows the speed; 0: no limit", training)
      ->check(not_negative);

  constexpr auto machine = "Machine";
  option("device", o.device, "cpu, cuda, cuda:1, ...", machine);
  flag("bf16", o.bf16, "Autocast to bfloat16", machine);
  option("threads", o.threads, "Threads of an operator; 0: LibTorch's default", machine)
      ->check(not_negative);
}

constexpr auto description =
    "Pretrains MAE, ConvMAE, LSMAE, MFF or SimMIM on photographs, with PixMIM or without.";

}  // namespace

bool parse(int argc, char** argv, Options& options, int& exit_code) {
  // First which recipe it is, then everything, on top of that recipe.
  options = recipe(Options().recipe);
  for (const bool recipe_known : {false, true}) {
    CLI::App app(description);
    add_options(app, options);
    try {
      app.parse(argc, argv);
      const std::string host = app.count("--host") > 0 ? options.host : "";
      if (!recipe_known) {
        const bool by_host = app.count("--recipe") == 0 && !host.empty();
        options = recipe(by_host ? recipe_of_host(host) : options.recipe);
      } else if (options.host != recipe(options.recipe).host) {
        throw CLI::ValidationError("--host", "the recipe " + options.recipe + " is one of " +
                                                 recipe(options.recipe).host + ", not of " + host);
      }
    } catch (const CLI::ParseError& error) {
      exit_code = app.exit(error);
      return false;
    }
  }
  return true;
}

std::string to_toml(const Options& options) {
  Options copy = options;
  CLI::App app(description);
  add_options(app, copy);
  return app.config_to_str(/*default_also=*/true, /*write_description=*/false);
}

std::string Options::identity() const {
  // Where the files are, how much is printed and how fast it runs may change between two runs, and
  // so may the weights of --init, which the checkpoint has replaced. What the decoder makes of a
  // file, and the order of the shards, may not.
  static const std::vector<std::string> free = {
      "data",           "output",   "resume",  "overwrite", "strict", "save-every",
      "pictures-every", "pictures", "workers", "prefetch",  "cache",  "list-cache",
      "device",         "threads",  "seconds", "recipe",    "init",   "init-encoder-only"};
  std::istringstream lines(to_toml(*this));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find('='));
    if (std::find(free.begin(), free.end(), name) == free.end()) kept += line + "\n";
  }
  return kept;
}

}  // namespace pretrain
