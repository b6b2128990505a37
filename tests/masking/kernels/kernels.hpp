// SPDX-License-Identifier: Apache-2.0
// The kernels of the CUDA engines of masks and rows, for the executor.
#pragma once

#include "support/simt/executor.hpp"

void add_mask_kernels(simt::Executor& executor);
void add_row_kernels(simt::Executor& executor);
