// SPDX-License-Identifier: Apache-2.0
// The kernels of the crops' CUDA engine, for the executor.
#pragma once

#include "support/simt/executor.hpp"

void add_crop_kernels(simt::Executor& executor);
