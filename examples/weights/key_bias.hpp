// SPDX-License-Identifier: Apache-2.0
// Attention whose keys have no bias (LSMAE, SimMIM, BEiT): q_bias and v_bias beside qkv.weight.
// A key's bias adds the same number to all logits of a query, which softmax takes out again:
// to leave one out, or to have one of zeros, changes no result.
#pragma once

#include "weights/tensors.hpp"

namespace weights {

/// attn.q_bias and attn.v_bias as attn.qkv.bias, zero for the keys.
Tensors with_key_bias(const Tensors& tensors);

/// Biases as `wanted` has them, joined or apart, where both have the attention.
Tensors biases_as_in(const Tensors& wanted, const Tensors& tensors);

}  // namespace weights
