// SPDX-License-Identifier: Apache-2.0
// Ctrl-C (and a scheduler's SIGTERM) as a question that the training loop asks between steps.
#pragma once

#include <csignal>

namespace pretrain {

class Interrupt {
 public:
  Interrupt() {
    std::signal(SIGINT, remember);
    std::signal(SIGTERM, remember);
  }

  /// The signal that came, or 0.
  int signal() const { return received_; }

 private:
  static void remember(int number) {
    received_ = number;
    std::signal(number, SIG_DFL);  // a second one ends the program at once
  }

  static inline volatile std::sig_atomic_t received_ = 0;
};

}  // namespace pretrain
