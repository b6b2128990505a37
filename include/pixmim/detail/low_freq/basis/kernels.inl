// SPDX-License-Identifier: Apache-2.0
// The basis engine's loops, once for each instruction set (detail/simd/multiversion.inl).

#include "pixmim/detail/low_freq/basis/folds.inl"
#include "pixmim/detail/low_freq/basis/products.inl"
// They need the two above.
#include "pixmim/detail/low_freq/basis/along_x.inl"
#include "pixmim/detail/low_freq/basis/along_y.inl"
#include "pixmim/detail/low_freq/basis/gains.inl"
// These need all.
#include "pixmim/detail/low_freq/basis/channels.inl"
#include "pixmim/detail/low_freq/basis/gather.inl"
