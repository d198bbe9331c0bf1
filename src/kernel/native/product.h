// Products of matrices in tiles by oneDNN's kernels, through libtorch: on a processor with AMX they use that, with
// AVX512-BF16 those instructions. A product of T sums in fp32.
//
// a [rows, depth] lies in rows; b [depth, columns] in panels of kPanel columns, each [depth, kPanel], of bf16
// [depth / 2, kPanel, 2].

#pragma once

#include <ATen/native/CPUBlas.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <vector>

#include "argument.h"
#include "kernels.h"

namespace tinyrun {

constexpr int64_t kPanel = 64;
// Rows of a tile.
constexpr int64_t kTile = 32;
// Depth that is summed at once where it is as long as a batch; the tokens' side of such a product lies in blocks of
// it.
constexpr int64_t kDepth = 512;

// Numbers in a panel [depth, kPanel].
inline int64_t panel_size(int64_t depth) { return depth * kPanel; }
inline int64_t panels(int64_t columns) { return (columns + kPanel - 1) / kPanel; }
// Tokens as the depth of a product: of few different lengths, since each has a kernel of its own.
inline int64_t padded(int64_t tokens) { return (tokens + 31) / 32 * 32; }

inline void tile(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, float* c, int64_t ldc,
                 bool adds) {
  at::native::cpublas::brgemm(m, n, k, lda, kPanel, ldc, adds, a, b, c, false);
}
inline void tile(int64_t m, int64_t n, int64_t k, const bf16* a, int64_t lda, const bf16* b, float* c, int64_t ldc,
                 bool adds) {
  at::native::cpublas::brgemm(m, n, k, lda, kPanel, ldc, adds, reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c, true);
}

// What the tiles keep of the processor is given back at the end of a parallel part.
template <typename T>
inline void release() {
  if (sizeof(T) == 2) at::native::cpublas::brgemm_release(true);
}

// Rows in parts of at most `most`, where they suffice as many for each thread, and of nearly the same size.
struct Parts {
  int64_t count, size;
  Parts(int64_t rows, int64_t most) {
    const int64_t threads = omp_get_max_threads();
    const int64_t least = std::max<int64_t>(1, (rows + most - 1) / most);
    count = (least + threads - 1) / threads * threads;
    size = std::max<int64_t>(16, ((rows + count - 1) / count + 7) / 8 * 8);
    count = (rows + size - 1) / size;
  }
};
// Of weights that were packed in this step, and of a model that is only read. Measured: small parts make the latter
// 8 to 18 % faster at a width of 768 and 1,700 tokens or more, and 5 % faster or slower below; the former some
// percent slower.
constexpr int64_t kFresh = 128, kAfar = 32;

// What went wrong first in a parallel part. An exception may not leave that by itself, and every thread has to come
// to its barriers.
class Failure {
 public:
  template <typename Work>
  void guard(Work work) noexcept {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      work();
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
  }
  // After the parallel part.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
};

// Memory of this thread alone, kept from call to call.
Scratch scratch(int64_t floats);

// Weights [outs, in] each, one below the other, as the b of x W' (columns are outputs). Within a parallel part: its
// threads share the panels, and do not wait.
template <typename T>
void pack_forward(const std::vector<Checked<float>>& weights, T* packed);

// c = a b for all tiles of a [rows, depth] b [depth, columns], `finish(row, rows, column, columns, c, ldc)` for
// each. With `whole` a call has all columns. Rows may come twice, with the same numbers. Within a parallel part:
// its threads share the rows, and do not wait.
template <typename T, typename Finish>
void multiply(const Parts& parts, const T* a, int64_t rows, int64_t depth, const T* b, int64_t columns, bool whole,
              Failure& failure, Finish finish) {
  const int64_t count = panels(columns), ldc = whole ? count * kPanel : kPanel;
#pragma omp for schedule(dynamic) nowait
  for (int64_t part = 0; part < parts.count; ++part)
    failure.guard([&] {
      float* c = scratch((whole ? parts.size : kTile) * ldc).data;
      const int64_t from = part * parts.size, to = std::min(rows, from + parts.size);
      for (int64_t p = 0; p < count; ++p) {
        const int64_t column = p * kPanel, width = std::min(kPanel, columns - column);
        for (int64_t next = from; next < to; next += kTile) {
          // Each height of a tile has a kernel that is made when it is first met. So the last one of a part is a
          // few rows higher than it needs to be, and makes some of those before it again.
          const int64_t left = to - next, m = std::min({kTile, (left + 7) / 8 * 8, to - from}),
                        row = std::min(next, to - m);
          float* at = whole ? c + (row - from) * ldc + column : c;
          tile(m, width, depth, a + row * depth, depth, b + p * panel_size(depth), at, ldc, false);
          if (!whole) finish(row, m, column, width, c, ldc);
        }
      }
      if (whole) finish(from, to - from, int64_t{0}, columns, c, ldc);
    });
  release<T>();
}

// x W' of `weights`, or of one that is `packed` already.
template <typename T, typename Finish>
void multiply_forward(const Checked<T>& x, const std::vector<Checked<float>>& weights, const Checked<T>& packed,
                      int64_t outs, bool whole, Finish finish) {
  const int64_t rows = x.size(0), depth = x.size(1);
  const Parts parts(rows, packed.given() ? kAfar : kFresh);
  const auto fresh = packed.given() ? packed : Checked<T>::empty({panels(outs) * panel_size(depth)});
  T* b = fresh.data();
  Failure failure;
#pragma omp parallel
  {
    if (!packed.given()) {
      pack_forward(weights, b);
#pragma omp barrier
    }
    multiply(parts, x.data(), rows, depth, b, outs, whole, failure, finish);
  }
  failure.rethrow();
}

// Gradients of a linear layer: dx = alpha du W, dW = alpha du' x, db = alpha sums of du.
// `dw` [outs, in], `db` [outs] and, where it is given, `dx` [rows, in] are filled.
template <typename T>
void linear_backward(const Checked<T>& du, const Checked<T>& x, const std::vector<Checked<float>>& weights, float alpha,
                     const Checked<T>& dx, const Checked<float>& dw, const Checked<float>& db);

// Gradients of a norm over rows: dz, du = drop(dz) (the same tensor where nothing is dropped), and of gamma and
// beta `norms` [2, width].
template <typename T>
void norm_backward(const Checked<T>& dy, const Checked<T>& z, const Checked<float>& mean, const Checked<float>& rstd,
                   const Checked<float>& gamma, Dropout dropout, const Checked<T>& dz, const Checked<T>& du,
                   const Checked<float>& norms);

}  // namespace tinyrun
