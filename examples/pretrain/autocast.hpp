// SPDX-License-Identifier: Apache-2.0
// bfloat16 autocast for a scope.
#pragma once

#include <ATen/autocast_mode.h>

namespace pretrain {

class Autocast {
 public:
  Autocast(c10::DeviceType device, bool enabled)
      : device_(device), before_(at::autocast::is_autocast_enabled(device)) {
    at::autocast::set_autocast_enabled(device_, enabled);
    at::autocast::set_autocast_dtype(device_, at::kBFloat16);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    // The cast weights are kept for the scope only: the optimizer changes them after it.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, before_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
  bool before_;
};

}  // namespace pretrain
