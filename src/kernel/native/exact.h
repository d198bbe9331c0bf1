// Loops whose numbers are the same on every kind of processor: updates of parameters, norms of gradients, masks.
// Compiled once for each of them (exact.cpp).

#pragma once

#include <cstdint>

namespace tinyrun {

// Constants of one Adam update of one tensor; the same as `AdamStep` in fused.rs.
struct AdamStep {
  // Factor of the gradient.
  float clip;
  float learning_rate, beta1, beta2, eps, decay;
  // 1 - beta1^t, and the root of 1 - beta2^t.
  float correction1, root_correction2;
};

struct ExactKernels {
  double (*squared_sum)(const float* g, int64_t n);

  // m = b1 m + (1-b1) c g;  v = b2 v + (1-b2) (c g)^2;  p -= lr (m / (sqrt(v) + eps) + decay p)
  void (*bert_adam)(float* p, const float* g, float* m, float* v, int64_t n, const AdamStep& step);
  // The same moments;  p = p (1 - lr decay) - lr/c1 m / (sqrt(v)/sqrt(c2) + eps)
  void (*adamw)(float* p, const float* g, float* m, float* v, int64_t n, const AdamStep& step);
  // Both where moments and gradient are zero, number by number the same.
  void (*bert_adam_at_rest)(float* p, int64_t n, const AdamStep& step);
  void (*adamw_at_rest)(float* p, int64_t n, const AdamStep& step);

  // out[i] = 0 where the element at place + i is dropped, else `kept`.
  void (*mask16)(uint16_t* out, int64_t n, uint64_t place, uint64_t key, uint32_t dropped, uint16_t kept);
  void (*mask32)(uint32_t* out, int64_t n, uint64_t place, uint64_t key, uint32_t dropped, uint32_t kept);
};

// Those of this processor.
const ExactKernels& exact_kernels();

}  // namespace tinyrun
