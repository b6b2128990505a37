// SPDX-License-Identifier: Apache-2.0
// Autocast for a scope.
#pragma once

#include <ATen/autocast_mode.h>

namespace vit {

class Autocast {
 public:
  Autocast(c10::DeviceType device, bool enabled, at::ScalarType dtype = at::kBFloat16)
      : device_(device),
        enabled_before_(at::autocast::is_autocast_enabled(device)),
        dtype_before_(at::autocast::get_autocast_dtype(device)) {
    set(enabled, dtype);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    // The cast weights are kept for the scope only: the optimizer changes them after it.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    set(enabled_before_, dtype_before_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  void set(bool enabled, at::ScalarType dtype) const {
    at::autocast::set_autocast_enabled(device_, enabled);
    at::autocast::set_autocast_dtype(device_, dtype);
  }

  c10::DeviceType device_;
  bool enabled_before_;
  at::ScalarType dtype_before_;
};

}  // namespace vit
