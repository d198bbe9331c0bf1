// What is computed row by row and head by head, compiled once for each kind of processor (kernels.cpp).
//
// Rows are tokens without padding. T is the number format of activations: float or bf16. Weights, biases,
// sums and gradients of weights are fp32.

#pragma once

#include <cstdint>

namespace tinyrun {

// The upper half of a float.
struct bf16 {
  uint16_t bits;
};

enum class Activation : int { kNone = 0, kGelu = 1, kGeluTanh = 2, kRelu = 3 };

// Dropout drawn by place (dropout.inc): `dropped` of 2^32 cases are 0, the others are multiplied by `kept`. Places
// begin at `begin`: where a batch is shared by several processes, others have those before.
struct Dropout {
  uint64_t key;
  uint64_t begin;
  uint32_t dropped;
  float kept;
};

// One head of one sequence: `queries` of its first tokens look at all `length` of them.
template <typename T>
struct Head {
  int64_t length, queries, width;
  const T *q, *k, *v;
  int64_t ldq, ldkv;
  float scale;
  Dropout dropout;
  // Of the first probability among all of the batch.
  uint64_t place;
  // [queries, length], or null: what the scores learn from.
  const T* teacher;
  // bias[j - i] is added to the score of query i and key j, or null; the gradient of a bias is added to dbias.
  const float* bias;
  float* dbias;
};

// One relation head of one sequence: rows of the student and of its teacher, which may be wider.
template <typename T>
struct Relation {
  int64_t length, width, teacher_width;
  const T *student, *teacher;
  int64_t ld, teacher_ld;
};

// Memory of one thread for the steps of a computation.
struct Scratch {
  float* data;
  int64_t floats;
};
// Throws: the loops want more scratch memory than they were given. Defined outside of them (processor.cpp).
[[noreturn]] void scratch_is_too_small(int64_t wanted, int64_t given);

// Prefetches memory that is read soon. The processor sees by itself where a row goes on, but not which part of which
// row is next: without this, strips and heads, which are narrow parts of many rows, wait for most of their lines.
// `static`: compiled for each kind of processor, these must not be one function. `always_inline`: gcc takes a call
// of what only asks for memory for one without effect.
__attribute__((always_inline)) static inline void fetch(const void* from, int64_t bytes) {
  const char* at = static_cast<const char*>(from);
  for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(at + b);
  __builtin_prefetch(at + bytes - 1);
}
template <typename T>
__attribute__((always_inline)) static inline void fetch_rows(const T* x, int64_t ldx, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i) fetch(x + i * ldx, columns * static_cast<int64_t>(sizeof(T)));
}
// Rows that are asked for before they are read.
constexpr int64_t kAhead = 16;

template <typename T>
struct Kernels {
  // y = act(c + bias); `u`, where it is given, keeps act's argument.
  void (*activate)(const float* c, int64_t ldc, int64_t rows, int64_t columns, const float* bias, Activation act, T* u,
                   T* y, int64_t ldy);
  // du = dy act'(u)
  void (*activate_backward)(const T* dy, const T* u, int64_t n, Activation act, T* du);

  // z = drop(c + bias) + residual;  y = (z - mean) rstd gamma + beta. `place` is that of c[0] in its mask.
  void (*norm)(float* c, int64_t ldc, int64_t rows, int64_t width, const float* bias, const T* residual,
               const float* gamma, const float* beta, float eps, Dropout dropout, uint64_t place, T* z, float* mean,
               float* rstd, T* y);
  // dz, du = drop(dz); adds to dgamma and dbeta.
  void (*norm_backward)(const T* dy, const T* z, const float* mean, const float* rstd, const float* gamma, int64_t rows,
                        int64_t width, Dropout dropout, uint64_t place, T* dz, T* du, float* dgamma, float* dbeta);

  // z = the sum of three rows;  y = drop((z - mean) rstd gamma + beta), of one token.
  void (*embed)(const float* word, const float* type, const float* position, int64_t width, const float* gamma,
                const float* beta, float eps, Dropout dropout, uint64_t place, T* z, float* mean, float* rstd, T* y);
  // out = drop(x)
  void (*drop)(const T* x, int64_t n, Dropout dropout, uint64_t place, T* out);
  // sums += x
  void (*add)(const T* x, int64_t n, float* sums);

  // difference = c + bias - target; of row i, sums[i step] is the sum of its squares.
  void (*difference)(const float* c, int64_t ldc, int64_t rows, int64_t columns, const float* bias, const T* target,
                     int64_t ld, T* difference, double* sums, int64_t step);

  // out = alpha c
  void (*store)(const float* c, int64_t ldc, int64_t rows, int64_t columns, float alpha, T* out, int64_t ld);
  // sums[j] = alpha sum over rows of x[row][j]
  void (*column_sums)(const T* x, int64_t ld, int64_t rows, int64_t columns, float alpha, float* sums);

  // A factor of a product in panels of kPanel columns (product.h): columns of b are rows of w ...
  void (*panel_of_rows)(const float* w, int64_t ldw, int64_t columns, int64_t depth, T* panel);
  // ... or its columns,
  void (*panel_of_columns)(const float* w, int64_t ldw, int64_t columns, int64_t depth, T* panel);
  // ... or those of activations.
  void (*panel_of_activations)(const T* x, int64_t ldx, int64_t columns, int64_t depth, int64_t padded, T* panel);
  // out[j][i] = x[i][j], zero for i from rows to padded.
  void (*transpose)(const T* x, int64_t ldx, int64_t rows, int64_t columns, T* out, int64_t padded, int64_t ld);

  // Floats of scratch that the two below want.
  int64_t (*attention_scratch)(int64_t length, int64_t width);
  // context [queries, width]; logarithms of the softmax' sums; where there is a teacher, the sum of squared
  // differences of the scores; the scores [queries, length] where they are wanted.
  double (*attention)(const Head<T>& head, Scratch scratch, T* context, int64_t ldc, float* logsum, T* scores);
  // Gradients of q, k, v from that of the context (or null) and of the sum of squares.
  void (*attention_backward)(const Head<T>& head, Scratch scratch, const T* dcontext, int64_t ldc, const float* logsum,
                             float dsquares, T* dq, T* dk, T* dv, int64_t ldq, int64_t ldkv);

  // Floats of scratch that the next wants.
  int64_t (*relation_scratch)(int64_t length, int64_t width, int64_t teacher_width);
  // Sum over the tokens of the divergence of the student's relations from the teacher's, and `factor` times its gradient
  // for the student's rows, where it is wanted.
  double (*relation)(const Relation<T>& relation, Scratch scratch, float factor, float* gradient, int64_t ldg);
};

// Those of this processor.
template <typename T>
const Kernels<T>& kernels();

}  // namespace tinyrun
