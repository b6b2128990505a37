// SPDX-License-Identifier: Apache-2.0
// Everything that a run needs to go on, in one file that is whole or not there.
#pragma once

#include <fcntl.h>
#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace pretrain {

/// How far a run has come. Order, crops and masks follow from the step and the seed.
struct Progress {
  int64_t step = 0;
  int64_t total_steps = 0;
};

/// Writes by `write(temporary path)`, then renames: a reader, or a power cut, sees the old file or
/// the new one.
template <typename Write>
void replace_file(const std::filesystem::path& path, const Write& write) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  write(temporary.string());
  const int file = open(temporary.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 || fsync(file) != 0) throw std::runtime_error("cannot write " + temporary.string());
  close(file);
  std::filesystem::rename(temporary, path);
}

inline void save_checkpoint(const std::filesystem::path& path, const torch::nn::Module& model,
                            const torch::optim::Optimizer& optimizer, const Progress& progress,
                            const std::string& identity) {
  torch::serialize::OutputArchive archive;
  torch::serialize::OutputArchive model_archive;
  torch::serialize::OutputArchive optimizer_archive;
  model.save(model_archive);
  optimizer.save(optimizer_archive);
  archive.write("model", model_archive);
  archive.write("optimizer", optimizer_archive);
  archive.write("step", c10::IValue(progress.step));
  archive.write("total_steps", c10::IValue(progress.total_steps));
  archive.write("identity", c10::IValue(identity));
  replace_file(path, [&archive](const std::string& name) { archive.save_to(name); });
}

/// Throws std::runtime_error, with both texts, if the checkpoint is of a run with other options.
inline Progress load_checkpoint(const std::filesystem::path& path, torch::nn::Module& model,
                                torch::optim::Optimizer& optimizer, const std::string& identity,
                                const torch::Device& device) {
  torch::serialize::InputArchive archive;
  archive.load_from(path.string(), device);
  c10::IValue value;
  archive.read("identity", value);
  if (value.toStringRef() != identity) {
    throw std::runtime_error(path.string() + " is of a run with other options; it had\n" +
                             value.toStringRef() + "and this one has\n" + identity);
  }
  torch::serialize::InputArchive model_archive;
  torch::serialize::InputArchive optimizer_archive;
  archive.read("model", model_archive);
  archive.read("optimizer", optimizer_archive);
  model.load(model_archive);
  optimizer.load(optimizer_archive);
  Progress progress;
  archive.read("step", value);
  progress.step = value.toInt();
  archive.read("total_steps", value);
  progress.total_steps = value.toInt();
  return progress;
}

}  // namespace pretrain
