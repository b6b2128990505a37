// SPDX-License-Identifier: Apache-2.0
// Where the loss finds the values of its target, in numbers: for the host, too.
#pragma once

namespace pixmim {
namespace kernels {

/// Steps are in elements. A patch is `channels` planes of `rows` x `columns` values; patches that are cut
/// already have one row of one channel.
struct LossTarget {
  /// Within a patch.
  long long row_step;
  long long column_step;
  long long channel_step;
  /// To the next patch, and how many stand beside each other.
  long long image_step;
  long long down_step;
  long long across_step;
  int across;
  int rows;
  int columns;
  int channels;
};

}  // namespace kernels
}  // namespace pixmim
