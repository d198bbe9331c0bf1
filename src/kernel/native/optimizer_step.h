// Updates of parameters, over tensors.

#pragma once

#include "argument.h"
#include "exact.h"

namespace tinyrun {

// A gradient that is given for some rows of a table, and zero for the others; the same as in fused.rs.
struct SparseRows {
  // Their numbers in the table.
  const int64_t* numbers;
  int64_t count;
  // For each row of the table, 0 where both moments are zero, set where that ends. Without a gradient such a row costs
  // a third of the memory traffic. All are 1 where eps is 0.
  uint8_t* moved;
  int64_t flags;
};

// Sum of the squares of an fp32 tensor, in blocks whose sums are added in order.
double squared_sum(const at::Tensor& gradient);

// One update in place (exact.h), of BertAdam or, where it corrects the bias, of AdamW. With `rows` the gradient is
// theirs.
void adam(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first_moment,
          const at::Tensor& second_moment, const SparseRows* rows, bool corrects_bias, const AdamStep& step);

}  // namespace tinyrun
