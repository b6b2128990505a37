// SPDX-License-Identifier: Apache-2.0
// The losses as a CSV file that survives a crash and a resume.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace pretrain {

class LossLog {
 public:
  /// Keeps the rows of an earlier run up to step `first_step`; the steps after it are done again.
  LossLog(const std::filesystem::path& path, int64_t first_step) {
    std::vector<std::string> kept;
    if (first_step > 0) {
      std::ifstream before(path);
      std::string line;
      std::getline(before, line);
      while (std::getline(before, line) && std::strtoll(line.c_str(), nullptr, 10) < first_step) {
        kept.push_back(line);
      }
    }
    file_.open(path);
    if (!file_) throw std::runtime_error("cannot write " + path.string());
    file_ << "step,epoch,lr,loss\n";
    for (const auto& line : kept) file_ << line << '\n';
    file_.precision(9);
  }

  void add(int64_t step, double epoch, double lr, double loss) {
    file_ << step << ',' << epoch << ',' << lr << ',' << loss << std::endl;
  }

 private:
  std::ofstream file_;
};

}  // namespace pretrain
