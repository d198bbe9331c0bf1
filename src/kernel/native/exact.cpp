// The loops behind exact.h. build.rs compiles this file once for each kind of processor, without contraction, in a
// namespace TINYRUN_PROCESSOR of its own; nothing in it may be visible to, or shared with, another of them.

#include "exact.h"

#include <cmath>

#include "dropout.inc"

namespace tinyrun {
namespace TINYRUN_PROCESSOR {
namespace {

double squared_sum(const float* g, int64_t n) {
  float lanes[64] = {0};
  int64_t i = 0;
  double sum = 0.0;
  for (; i + 64 <= n; i += 64)
    for (int lane = 0; lane < 64; ++lane) lanes[lane] += g[i + lane] * g[i + lane];
  for (int lane = 0; lane < 64; ++lane) sum += lanes[lane];
  for (; i < n; ++i) sum += static_cast<double>(g[i]) * g[i];
  return sum;
}

void bert_adam(float* p, const float* g, float* m, float* v, int64_t n, const AdamStep& step) {
  // A copy: what is written to a tensor could not be told from it.
  const AdamStep s = step;
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = g[i] * s.clip;
    m[i] = s.beta1 * m[i] + (1.0f - s.beta1) * gradient;
    v[i] = s.beta2 * v[i] + (1.0f - s.beta2) * gradient * gradient;
    const float update = m[i] / (std::sqrt(v[i]) + s.eps) + s.decay * p[i];
    p[i] -= s.learning_rate * update;
  }
}

void adamw(float* p, const float* g, float* m, float* v, int64_t n, const AdamStep& step) {
  const AdamStep s = step;
  const float shrink = 1.0f - s.learning_rate * s.decay;
  const float size = s.learning_rate / s.correction1;
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = g[i] * s.clip;
    m[i] = s.beta1 * m[i] + (1.0f - s.beta1) * gradient;
    v[i] = s.beta2 * v[i] + (1.0f - s.beta2) * gradient * gradient;
    const float denominator = std::sqrt(v[i]) / s.root_correction2 + s.eps;
    p[i] = p[i] * shrink - size * m[i] / denominator;
  }
}

void bert_adam_at_rest(float* p, int64_t n, const AdamStep& step) {
  const float learning_rate = step.learning_rate, decay = step.decay;
  for (int64_t i = 0; i < n; ++i) p[i] -= learning_rate * (0.0f + decay * p[i]);
}

void adamw_at_rest(float* p, int64_t n, const AdamStep& step) {
  const float shrink = 1.0f - step.learning_rate * step.decay;
  for (int64_t i = 0; i < n; ++i) p[i] = p[i] * shrink - 0.0f;
}

template <typename T>
void mask(T* out, int64_t n, uint64_t place, uint64_t key, uint32_t dropped, T kept) {
  for (int64_t from = 0; from < n;) {
    const int64_t count = places_together(place, n - from);
    const Places places(key, dropped, place);
    for (int64_t i = 0; i < count; ++i) out[from + i] = places.drops(static_cast<uint32_t>(i)) ? T{0} : kept;
    from += count;
    place += static_cast<uint64_t>(count);
  }
}

}  // namespace

extern const ExactKernels kExact;
const ExactKernels kExact = {squared_sum,   bert_adam,      adamw,         bert_adam_at_rest,
                             adamw_at_rest, mask<uint16_t>, mask<uint32_t>};

}  // namespace TINYRUN_PROCESSOR
}  // namespace tinyrun
