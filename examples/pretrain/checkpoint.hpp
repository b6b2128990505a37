// SPDX-License-Identifier: Apache-2.0
// Everything that a run needs to go on, in one file that is whole or not there.
#pragma once

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

#include "weights/replace_file.hpp"

namespace pretrain {

/// How far a run has come. Order, crops and masks follow from the step and the seed.
struct Progress {
  int64_t step = 0;
  int64_t total_steps = 0;
};

/// What two runs must share for one to go on where the other stopped.
struct Identity {
  /// A line each.
  std::string options;
  /// "7 files, 0123456789abcdef"
  std::string photographs;
};

inline void save_checkpoint(const std::filesystem::path& path, const torch::nn::Module& model,
                            const torch::optim::Optimizer& optimizer, const Progress& progress,
                            const Identity& identity) {
  torch::serialize::OutputArchive archive;
  torch::serialize::OutputArchive model_archive;
  torch::serialize::OutputArchive optimizer_archive;
  model.save(model_archive);
  optimizer.save(optimizer_archive);
  archive.write("model", model_archive);
  archive.write("optimizer", optimizer_archive);
  archive.write("step", c10::IValue(progress.step));
  archive.write("total_steps", c10::IValue(progress.total_steps));
  archive.write("identity", c10::IValue(identity.options));
  archive.write("photographs", c10::IValue(identity.photographs));
  weights::replace_file(path, [&archive](const std::filesystem::path& temporary) {
    archive.save_to(temporary.string());
  });
}

/// Lines "name=..." of two texts that are not the same, or in one of them alone.
inline std::string differing_lines(const std::string& there, const std::string& here) {
  const auto by_name = [](const std::string& text) {
    std::map<std::string, std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      lines[line.substr(0, line.find('='))] = line;
    }
    return lines;
  };
  const auto a = by_name(there);
  const auto b = by_name(here);
  std::string result;
  for (const auto& [name, line] : a) {
    const auto found = b.find(name);
    if (found == b.end()) {
      result += "\n  there: " + line + ", here: no such option";
    } else if (found->second != line) {
      result += "\n  there: " + line + ", here: " + found->second;
    }
  }
  for (const auto& [name, line] : b) {
    if (a.count(name) == 0) result += "\n  there: no such option, here: " + line;
  }
  return result;
}

/// Throws std::runtime_error, naming them, if the checkpoint is of a run with other options or
/// photographs.
inline Progress load_checkpoint(const std::filesystem::path& path, torch::nn::Module& model,
                                torch::optim::Optimizer& optimizer, const Identity& identity,
                                const torch::Device& device) {
  torch::serialize::InputArchive archive;
  c10::IValue value;
  c10::IValue photographs;
  try {
    archive.load_from(path.string(), device);
    archive.read("identity", value);
    archive.read("photographs", photographs);
  } catch (const c10::Error& error) {
    throw std::runtime_error(path.string() +
                             " is no checkpoint: " + error.what_without_backtrace());
  }
  if (value.toStringRef() != identity.options) {
    throw std::runtime_error(path.string() + " is of a run with other options:" +
                             differing_lines(value.toStringRef(), identity.options));
  }
  if (photographs.toStringRef() != identity.photographs) {
    throw std::runtime_error(path.string() + " is of a run on other photographs: there " +
                             photographs.toStringRef() + ", here " + identity.photographs +
                             " (number, hash of the names)");
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
