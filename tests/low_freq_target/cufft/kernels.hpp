// SPDX-License-Identifier: Apache-2.0
// All kernels that cuFFT's target may launch.
#pragma once

#include "support/simt/executor.hpp"

void add_spectrum_kernels(simt::Executor& executor);
