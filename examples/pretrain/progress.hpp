// SPDX-License-Identifier: Apache-2.0
// The progress line: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>

#include "data/loader.hpp"

namespace pretrain {

class ProgressLine {
 public:
  using Clock = std::chrono::steady_clock;

  /// `step_images`: what a step takes when all of them can be read.
  ProgressLine(int64_t total_steps, int64_t step_images, int64_t workers)
      : total_steps_(total_steps), step_images_(step_images), workers_(workers) {
    recent_.push_back({start_, 0, {}});
  }

  void set_total_steps(int64_t total_steps) { total_steps_ = total_steps; }

  /// Tells of `step` steps done, the last one on `images` images.
  void update(int64_t step, double epoch, double loss, double lr, int64_t images,
              const data::LoaderStatistics& loader) {
    const auto now = Clock::now();
    images_ += images;
    recent_.push_back({now, images_, loader});
    // The rates of the last half minute: the first steps are slow, and a machine's speed changes.
    while (recent_.size() > 2 && now - recent_.front().time > std::chrono::seconds(30)) {
      recent_.pop_front();
    }
    const bool last = step == total_steps_;
    const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
    if (!last && printed_ && now - printed_at_ < pause) return;
    printed_at_ = now;
    printed_ = true;

    const Moment& before = recent_.front();
    const double seconds = std::chrono::duration<double>(now - before.time).count();
    const auto seen = static_cast<double>(images_ - before.images);
    const double rate = seconds > 0 ? seen / seconds : 0;
    const auto left = static_cast<double>((total_steps_ - step) * step_images_);
    std::printf("%s%sstep %lld/%lld  epoch %.1f  loss %.4f  lr %.2e  %.1f images/s  %s  ETA %s%s",
                terminal_ ? "\r" : "", terminal_ ? bar(step).c_str() : "",
                static_cast<long long>(step), static_cast<long long>(total_steps_), epoch, loss, lr,
                rate, waiting_text(before.loader, loader, seconds).c_str(),
                rate > 0 ? time_text(left / rate).c_str() : "-",
                terminal_ ? (last ? "\033[K\n" : "\033[K") : "\n");
    std::fflush(stdout);
  }

  /// Seconds since the first line was prepared.
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  int64_t images() const { return images_; }

 private:
  struct Moment {
    Clock::time_point time;
    int64_t images;
    data::LoaderStatistics loader;
  };

  /// Who waits: the model for photographs, or the workers for the model.
  std::string waiting_text(const data::LoaderStatistics& before, const data::LoaderStatistics& now,
                           double seconds) const {
    const auto percent = [](double waited, double of) { return of > 0 ? 100 * waited / of : 0; };
    const double model = percent(now.waited_for_data - before.waited_for_data, seconds);
    const double workers = percent(now.waited_for_room - before.waited_for_room,
                                   seconds * static_cast<double>(workers_));
    char text[64];
    std::snprintf(text, sizeof text, "waiting: model %.0f%%, workers %.0f%%", model, workers);
    return text;
  }

  std::string bar(int64_t step) const {
    constexpr int64_t width = 24;
    const int64_t full = total_steps_ > 0 ? step * width / total_steps_ : width;
    return "[" + std::string(static_cast<std::size_t>(full), '#') +
           std::string(static_cast<std::size_t>(width - full), '.') + "] ";
  }

  static std::string time_text(double seconds) {
    const auto total = static_cast<long long>(seconds + 0.5);
    char text[32];
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", total / 3600, total / 60 % 60,
                  total % 60);
    return text;
  }

  int64_t total_steps_;
  int64_t step_images_;
  int64_t workers_;
  int64_t images_ = 0;
  Clock::time_point start_ = Clock::now();
  std::deque<Moment> recent_;
  Clock::time_point printed_at_{};
  bool printed_ = false;
  bool terminal_ = isatty(STDOUT_FILENO) == 1;
};

}  // namespace pretrain
