// SPDX-License-Identifier: Apache-2.0
// All of pixmim: PixMIM (Liu et al., arXiv 2303.02416) for LibTorch trainers.
#pragma once

#include "pixmim/loss.hpp"                 // the pixel loss over masked patches
#include "pixmim/low_freq_target.hpp"      // the target: images without their high frequencies
#include "pixmim/masking.hpp"              // which patches are hidden
#include "pixmim/patches.hpp"              // images to patches and back
#include "pixmim/random_resized_crop.hpp"  // the crop that PixMIM replaces
#include "pixmim/simple_resized_crop.hpp"  // the crop that keeps the foreground
#include "pixmim/version.hpp"
