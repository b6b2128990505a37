// SPDX-License-Identifier: Apache-2.0
// The kernels of the loss's CUDA engine, for the executor.
#pragma once

#include "support/simt/executor.hpp"

void add_loss_kernels(simt::Executor& executor);
