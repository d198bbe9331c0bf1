#include "product.h"

namespace tinyrun {

#if defined(TINYRUN_PROCESSORS)
#define TABLES(name)                  \
  namespace name {                    \
  extern const Kernels<float> kFloat; \
  extern const Kernels<bf16> kHalf;   \
  }
TABLES(avx512_bf16)
TABLES(avx512)
TABLES(avx2)
TABLES(baseline)
#undef TABLES

namespace {

// 3: AVX-512 with bf16, 2: AVX-512, 1: AVX2, 0: neither.
int processor() {
  static const int kind = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
      return __builtin_cpu_supports("avx512bf16") ? 3 : 2;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
  }();
  return kind;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  const Kernels<float>* all[] = {&baseline::kFloat, &avx2::kFloat, &avx512::kFloat, &avx512_bf16::kFloat};
  return *all[processor()];
}
template <>
const Kernels<bf16>& kernels<bf16>() {
  const Kernels<bf16>* all[] = {&baseline::kHalf, &avx2::kHalf, &avx512::kHalf, &avx512_bf16::kHalf};
  return *all[processor()];
}
#else
namespace baseline {
extern const Kernels<float> kFloat;
extern const Kernels<bf16> kHalf;
}  // namespace baseline
template <>
const Kernels<float>& kernels<float>() {
  return baseline::kFloat;
}
template <>
const Kernels<bf16>& kernels<bf16>() {
  return baseline::kHalf;
}
#endif

float* scratch(int64_t floats) {
  thread_local std::vector<float> memory;
  if (memory.size() < static_cast<size_t>(floats)) memory.resize(static_cast<size_t>(floats));
  return memory.data();
}

template <typename T>
void pack_forward(const std::vector<at::Tensor>& weights, T* packed) {
  const int64_t depth = weights[0].size(1);
  int64_t outs = 0;
  for (const auto& w : weights) outs += w.size(0);
#pragma omp for schedule(dynamic) nowait
  for (int64_t p = 0; p < panels(outs); ++p) {
    // A panel may hold outputs of two layers.
    int64_t column = 0, first = 0;
    for (const auto& w : weights) {
      const int64_t from = std::max(p * kPanel, first), end = std::min((p + 1) * kPanel, first + w.size(0));
      if (from < end) {
        T* at = packed + p * panel_size(depth) + column * (sizeof(T) == 2 ? 2 : 1);
        kernels<T>().panel_of_rows(data<float>(w) + (from - first) * depth, depth, end - from, depth, at);
        column += end - from;
      }
      first += w.size(0);
    }
  }
}

namespace {

// The same as the b of dy W (columns are inputs).
template <typename T>
void pack_backward(const std::vector<at::Tensor>& weights, int64_t outs, T* packed) {
  const int64_t ins = weights[0].size(1);
#pragma omp for schedule(dynamic) nowait
  for (int64_t p = 0; p < panels(ins); ++p) {
    T* at = packed + p * panel_size(outs);
    const int64_t columns = std::min(kPanel, ins - p * kPanel);
    for (const auto& w : weights) {
      kernels<T>().panel_of_columns(data<float>(w) + p * kPanel, ins, columns, w.size(0), at);
      at += panel_size(w.size(0));
    }
  }
}

}  // namespace

template <typename T>
void linear_backward(const at::Tensor& du, const at::Tensor& x, const std::vector<at::Tensor>& weights, float alpha,
                     const at::Tensor& dx, const at::Tensor& dw, const at::Tensor& db) {
  const auto& loops = kernels<T>();
  const int64_t rows = x.size(0), ins = x.size(1), outs = du.size(1), depth = padded(rows);
  const T *slope = data<T>(du), *input = data<T>(x);
  const Parts parts(rows, kFresh);
  const int64_t strips = (outs + kTile - 1) / kTile, count = panels(ins);
  // W as a factor for dx; du' and x as the factors of a product over the rows.
  const at::Tensor packed = room<T>(dx.defined() ? count * panel_size(outs) : 0);
  const int64_t blocks = (depth + kDepth - 1) / kDepth;
  const at::Tensor turned = room<T>(blocks * outs * kDepth), right = room<T>(count * panel_size(depth));
  T *factor = data<T>(packed), *left = data<T>(turned), *panel = data<T>(right);
  float *to = data<float>(dw), *sums = data<float>(db);
  Failure failure;
#pragma omp parallel
  {
    if (dx.defined()) pack_backward(weights, outs, factor);
#pragma omp for schedule(dynamic) nowait
    for (int64_t s = 0; s < strips; ++s) {
      const int64_t from = s * kTile, n = std::min(kTile, outs - from);
      for (int64_t b = 0; b < blocks; ++b)
        loops.transpose(slope + b * kDepth * outs + from, outs, std::min(kDepth, rows - b * kDepth), n,
                        left + (b * outs + from) * kDepth, std::min(kDepth, depth - b * kDepth), kDepth);
      loops.column_sums(slope + from, outs, rows, n, alpha, sums + from);
    }
#pragma omp for schedule(dynamic)
    for (int64_t p = 0; p < count; ++p)
      loops.panel_of_activations(input + p * kPanel, ins, std::min(kPanel, ins - p * kPanel), rows, depth,
                                 panel + p * panel_size(depth));
    if (dx.defined()) {
      T* out = data<T>(dx);
      multiply(parts, slope, rows, outs, factor, ins, false, failure,
               [&](int64_t row, int64_t m, int64_t column, int64_t n, const float* c, int64_t ldc) {
                 loops.store(c, ldc, m, n, alpha, out + row * ins + column, ins);
               });
    }
    // A block of tokens at a time, whose factors stay in the cache. Where there are several, each strip is always
    // the same thread's, which so adds its blocks in their order and waits for nobody.
    const auto add = [&](int64_t s, int64_t k) {
      failure.guard([&] {
        const int64_t from = s * kTile, m = std::min(kTile, outs - from);
        const bool ends = k + kDepth >= depth;
        for (int64_t p = 0; p < count; ++p) {
          const int64_t column = p * kPanel, n = std::min(kPanel, ins - column);
          float* c = to + from * ins + column;
          tile(m, n, std::min(kDepth, depth - k), left + (k / kDepth * outs + from) * kDepth, kDepth,
               panel + p * panel_size(depth) + k * kPanel, c, ins, k > 0);
          if (ends && alpha != 1.0f)
            for (int64_t i = 0; i < m; ++i)
              for (int64_t j = 0; j < n; ++j) c[i * ins + j] *= alpha;
        }
      });
    };
    if (blocks == 1) {
#pragma omp for schedule(dynamic) nowait
      for (int64_t s = 0; s < strips; ++s) add(s, 0);
    } else {
      for (int64_t k = 0; k < depth; k += kDepth) {
#pragma omp for schedule(static) nowait
        for (int64_t s = 0; s < strips; ++s) add(s, k);
      }
    }
    release<T>();
  }
  failure.rethrow();
}

template <typename T>
void norm_backward(const at::Tensor& dy, const at::Tensor& z, const at::Tensor& mean, const at::Tensor& rstd,
                   const at::Tensor& gamma, Dropout dropout, const at::Tensor& dz, const at::Tensor& du,
                   const at::Tensor& norms) {
  const int64_t rows = z.size(0), width = z.size(1), block = 32, blocks = (rows + block - 1) / block;
  // Sums of blocks of rows, added in their order whatever the number of threads.
  std::vector<float> sums(static_cast<size_t>(2 * blocks * width), 0.0f);
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t row = b * block, at = row * width;
    float* partial = sums.data() + 2 * b * width;
    kernels<T>().norm_backward(data<T>(dy) + at, data<T>(z) + at, data<float>(mean) + row, data<float>(rstd) + row,
                               data<float>(gamma), std::min(block, rows - row), width, dropout,
                               static_cast<uint32_t>(at), data<T>(dz) + at, data<T>(du) + at, partial, partial + width);
  }
  kernels<float>().column_sums(sums.data(), 2 * width, blocks, 2 * width, 1.0f, data<float>(norms));
}

template void norm_backward<float>(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                   const at::Tensor&, Dropout, const at::Tensor&, const at::Tensor&, const at::Tensor&);
template void norm_backward<bf16>(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                  const at::Tensor&, Dropout, const at::Tensor&, const at::Tensor&, const at::Tensor&);
template void pack_forward<float>(const std::vector<at::Tensor>&, float*);
template void pack_forward<bf16>(const std::vector<at::Tensor>&, bf16*);
template void linear_backward<float>(const at::Tensor&, const at::Tensor&, const std::vector<at::Tensor>&, float,
                                     const at::Tensor&, const at::Tensor&, const at::Tensor&);
template void linear_backward<bf16>(const at::Tensor&, const at::Tensor&, const std::vector<at::Tensor>&, float,
                                    const at::Tensor&, const at::Tensor&, const at::Tensor&);

}  // namespace tinyrun
