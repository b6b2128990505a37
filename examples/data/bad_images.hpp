// SPDX-License-Identifier: Apache-2.0
// The photographs that could not be read.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace data {

/// Counts each bad photograph once, and tells of it once on stderr. Shared by threads.
class BadImages {
 public:
  /// So many are named; a set of which a million are bad is only counted.
  static constexpr std::size_t named_at_most = 1000;

  /// `size`: photographs in the set.
  explicit BadImages(uint64_t size) : known_(size) {}

  void add(uint64_t index, const std::string& name, const std::string& why) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (known_[index]) return;
    known_[index] = true;
    ++count_;
    if (count_ > named_at_most) return;
    named_.emplace(index, name + ": " + why);
    // On a terminal a progress line may stand there; in a pipe what was printed before comes first.
    std::fflush(stdout);
    std::fprintf(stderr, "%sskipped %s: %s\n", isatty(STDERR_FILENO) == 1 ? "\n" : "", name.c_str(),
                 why.c_str());
    if (count_ == named_at_most) std::fprintf(stderr, "more are counted and not named\n");
  }

  uint64_t count() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return count_;
  }

  /// "name: reason", by number, of the first `named_at_most` that were met.
  std::map<uint64_t, std::string> named() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return named_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<bool> known_;
  uint64_t count_ = 0;
  std::map<uint64_t, std::string> named_;
};

}  // namespace data
