#include "product.h"

namespace tinyrun {

Scratch scratch(int64_t floats) {
  thread_local std::vector<float> memory;
  if (memory.size() < static_cast<size_t>(floats)) memory.resize(static_cast<size_t>(floats));
  return {memory.data(), floats};
}

template <typename T>
void pack_forward(const std::vector<Checked<float>>& weights, T* packed) {
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
        kernels<T>().panel_of_rows(w.data() + (from - first) * depth, depth, end - from, depth, at);
        column += end - from;
      }
      first += w.size(0);
    }
  }
}

namespace {

// The same as the b of dy W (columns are inputs).
template <typename T>
void pack_backward(const std::vector<Checked<float>>& weights, int64_t outs, T* packed) {
  const int64_t ins = weights[0].size(1);
#pragma omp for schedule(dynamic) nowait
  for (int64_t p = 0; p < panels(ins); ++p) {
    T* at = packed + p * panel_size(outs);
    const int64_t columns = std::min(kPanel, ins - p * kPanel);
    for (const auto& w : weights) {
      kernels<T>().panel_of_columns(w.data() + p * kPanel, ins, columns, w.size(0), at);
      at += panel_size(w.size(0));
    }
  }
}

}  // namespace

template <typename T>
void linear_backward(const Checked<T>& du, const Checked<T>& x, const std::vector<Checked<float>>& weights, float alpha,
                     const Checked<T>& dx, const Checked<float>& dw, const Checked<float>& db) {
  const auto& loops = kernels<T>();
  const int64_t rows = x.size(0), ins = x.size(1), outs = du.size(1), depth = padded(rows);
  const T *slope = du.data(), *input = x.data();
  const Parts parts(rows, kFresh);
  const int64_t strips = (outs + kTile - 1) / kTile, count = panels(ins);
  // W as a factor for dx; du' and x as the factors of a product over the rows.
  const auto packed = Checked<T>::empty({dx.given() ? count * panel_size(outs) : 0});
  const int64_t blocks = (depth + kDepth - 1) / kDepth;
  const auto turned = Checked<T>::empty({blocks * outs * kDepth}),
             right = Checked<T>::empty({count * panel_size(depth)});
  T *factor = packed.data(), *left = turned.data(), *panel = right.data();
  float *to = dw.data(), *sums = db.data();
  Failure failure;
#pragma omp parallel
  {
    if (dx.given()) pack_backward(weights, outs, factor);
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
    if (dx.given()) {
      T* out = dx.data();
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
void norm_backward(const Checked<T>& dy, const Checked<T>& z, const Checked<float>& mean, const Checked<float>& rstd,
                   const Checked<float>& gamma, Dropout dropout, const Checked<T>& dz, const Checked<T>& du,
                   const Checked<float>& norms) {
  const auto& loops = kernels<T>();
  const int64_t rows = z.size(0), width = z.size(1), block = 32, blocks = (rows + block - 1) / block;
  // Sums of blocks of rows, added in their order whatever the number of threads.
  std::vector<float> sums(static_cast<size_t>(2 * blocks * width), 0.0f);
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t row = b * block, at = row * width;
    float* partial = sums.data() + 2 * b * width;
    loops.norm_backward(dy.data() + at, z.data() + at, mean.data() + row, rstd.data() + row, gamma.data(),
                        std::min(block, rows - row), width, dropout, dropout.begin + static_cast<uint64_t>(at), dz.data() + at,
                        du.data() + at, partial, partial + width);
  }
  kernels<float>().column_sums(sums.data(), 2 * width, blocks, 2 * width, 1.0f, norms.data());
}

#define INSTANTIATE(T)                                                                                               \
  template void pack_forward<T>(const std::vector<Checked<float>>&, T*);                                             \
  template void linear_backward<T>(const Checked<T>&, const Checked<T>&, const std::vector<Checked<float>>&, float,  \
                                   const Checked<T>&, const Checked<float>&, const Checked<float>&);                 \
  template void norm_backward<T>(const Checked<T>&, const Checked<T>&, const Checked<float>&, const Checked<float>&, \
                                 const Checked<float>&, Dropout, const Checked<T>&, const Checked<T>&,               \
                                 const Checked<float>&);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace tinyrun
