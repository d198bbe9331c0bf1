// One-pass Adam over contiguous fp32 tensors.
//
// tch binds no fused Adam, and libtorch's own knows no rule without bias correction. Composed of
// tensor operations an update reads and writes the 57 MB of a TinyBERT's tensors a dozen times over;
// here it is once. The arithmetic of an element does not depend on the number of threads.

#include <cmath>
#include <cstdint>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PER_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PER_PROCESSOR
#endif

namespace {

// Elements one thread works on at a time. Fixed, so that the blocks of a sum do not move with the
// number of threads.
constexpr int64_t kBlock = 16384;

PER_PROCESSOR double squared_sum(const float* g, int64_t n) {
  float lanes[64] = {0};
  int64_t i = 0;
  double sum = 0.0;
  for (; i + 64 <= n; i += 64)
    for (int lane = 0; lane < 64; ++lane) lanes[lane] += g[i + lane] * g[i + lane];
  for (int lane = 0; lane < 64; ++lane) sum += lanes[lane];
  for (; i < n; ++i) sum += static_cast<double>(g[i]) * g[i];
  return sum;
}

PER_PROCESSOR void bert_adam(float* p, const float* g, float* m, float* v, int64_t n, float clip, float lr, float beta1,
                             float beta2, float eps, float decay) {
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = g[i] * clip;
    m[i] = beta1 * m[i] + (1.0f - beta1) * gradient;
    v[i] = beta2 * v[i] + (1.0f - beta2) * gradient * gradient;
    const float update = m[i] / (std::sqrt(v[i]) + eps) + decay * p[i];
    p[i] -= lr * update;
  }
}

PER_PROCESSOR void adamw(float* p, const float* g, float* m, float* v, int64_t n, float clip, float lr, float beta1,
                         float beta2, float eps, float decay, float correction1, float root_correction2) {
  const float shrink = 1.0f - lr * decay;
  const float size = lr / correction1;
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = g[i] * clip;
    m[i] = beta1 * m[i] + (1.0f - beta1) * gradient;
    v[i] = beta2 * v[i] + (1.0f - beta2) * gradient * gradient;
    const float denominator = std::sqrt(v[i]) / root_correction2 + eps;
    p[i] = p[i] * shrink - size * m[i] / denominator;
  }
}

// The two above where moments and gradient are zero, number by number the same.
PER_PROCESSOR void bert_adam_at_rest(float* p, int64_t n, float lr, float decay) {
  for (int64_t i = 0; i < n; ++i) p[i] -= lr * (0.0f + decay * p[i]);
}

PER_PROCESSOR void adamw_at_rest(float* p, int64_t n, float lr, float decay) {
  const float shrink = 1.0f - lr * decay;
  for (int64_t i = 0; i < n; ++i) p[i] = p[i] * shrink - 0.0f;
}

// Calls `step` for parts of the tensor on all threads, each with its gradient; for rows of a table that have none and
// whose moments are zero, `rest`.
template <typename Step, typename Rest>
void update(const float* g, int64_t n, const int32_t* places, int64_t width, uint8_t* moved, Step step, Rest rest) {
  if (places == nullptr) {
    const int64_t blocks = (n + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t from = b * kBlock;
      step(from, n - from < kBlock ? n - from : kBlock, g + from);
    }
    return;
  }
  const std::vector<float> zeros(static_cast<size_t>(width), 0.0f);
  const int64_t rows = n / width;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    if (places[row] >= 0) moved[row] = 1;
    if (moved[row] == 0)
      rest(row * width, width);
    else
      step(row * width, width, places[row] < 0 ? zeros.data() : g + places[row] * width);
  }
}

}  // namespace

extern "C" {

// Sum of squares of g[0..n], in blocks whose partial sums are added in order.
double tinyrun_squared_sum(const float* g, int64_t n, double* partial) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static) if (blocks > 1)
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t from = b * kBlock;
    const int64_t count = n - from < kBlock ? n - from : kBlock;
    partial[b] = squared_sum(g + from, count);
  }
  double sum = 0.0;
  for (int64_t b = 0; b < blocks; ++b) sum += partial[b];
  return sum;
}

// Blocks that tinyrun_squared_sum wants room for.
int64_t tinyrun_blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

// m = b1 m + (1-b1) c g;  v = b2 v + (1-b2) (c g)^2;  p -= lr (m / (sqrt(v) + eps) + decay p)
//
// With `places`, the tensors are tables of rows of `width`, and the gradient holds those rows alone whose
// place is not negative; the others' is zero. `moved` is 0 for rows whose moments are zero, and
// is set where that ends: without a gradient such a row costs a third of the memory traffic. It is 1 for all where eps
// is 0.
void tinyrun_bert_adam(float* p, const float* g, float* m, float* v, int64_t n, const int32_t* places, int64_t width,
                       uint8_t* moved, float clip, float lr, float beta1, float beta2, float eps, float decay) {
  update(
      g, n, places, width, moved,
      [=](int64_t from, int64_t count, const float* gradient) {
        bert_adam(p + from, gradient, m + from, v + from, count, clip, lr, beta1, beta2, eps, decay);
      },
      [=](int64_t from, int64_t count) { bert_adam_at_rest(p + from, count, lr, decay); });
}

// The same moments;  p = p (1 - lr decay) - lr/c1 m / (sqrt(v)/sqrt(c2) + eps)
void tinyrun_adamw(float* p, const float* g, float* m, float* v, int64_t n, const int32_t* places, int64_t width,
                   uint8_t* moved, float clip, float lr, float beta1, float beta2, float eps, float decay,
                   float correction1, float root_correction2) {
  update(
      g, n, places, width, moved,
      [=](int64_t from, int64_t count, const float* gradient) {
        adamw(p + from, gradient, m + from, v + from, count, clip, lr, beta1, beta2, eps, decay, correction1,
              root_correction2);
      },
      [=](int64_t from, int64_t count) { adamw_at_rest(p + from, count, lr, decay); });
}

}  // extern "C"
