// Masks of dropout, over tensors.

#pragma once

#include "argument.h"

namespace tinyrun {

// Fills `mask` (fp32, bf16 or fp16) with 0 for dropped elements and the number whose bits are `kept` for the others.
// `place` is that of its first element.
void dropout_mask(const at::Tensor& mask, uint64_t place, uint64_t key, uint32_t dropped, uint32_t kept);

}  // namespace tinyrun
