// Embeddings and parts of an encoder layer over a packed batch, as autograd functions: each has a forward and a
// backward pass of its own.
//
// Activations are contiguous [tokens, width], fp32 or bf16. `parts` of a linear layer are: its packed weight or an
// undefined tensor; the weights of one or more layers side by side, fp32, or undefined where they are packed; as
// many biases, fp32.

#pragma once

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>

#include "argument.h"
#include "kernels.h"

namespace tinyrun {

using torch::autograd::variable_list;

// An autograd function takes no undefined tensor: one that no argument is like stands for it.
inline at::Tensor given(const at::Tensor& tensor) {
  return tensor.defined() ? tensor : at::empty({0}, at::TensorOptions(kAbsent));
}

// Keeps the dropout of a forward pass for the backward pass.
inline void save(torch::autograd::AutogradContext* context, Dropout dropout) {
  context->saved_data["key"] = static_cast<int64_t>(dropout.key);
  context->saved_data["begin"] = static_cast<int64_t>(dropout.begin);
  context->saved_data["dropped"] = static_cast<int64_t>(dropout.dropped);
  context->saved_data["kept"] = static_cast<double>(dropout.kept);
}
inline Dropout saved_dropout(torch::autograd::AutogradContext* context) {
  return {static_cast<uint64_t>(context->saved_data["key"].toInt()),
          static_cast<uint64_t>(context->saved_data["begin"].toInt()),
          static_cast<uint32_t>(context->saved_data["dropped"].toInt()),
          static_cast<float>(context->saved_data["kept"].toDouble())};
}

// drop(layer_norm(words[ids] + types[type_ids] + positions[position_ids])) in bf16 or fp32; tables are fp32, ids
// int64 [tokens]. Tokens of row `pad` give words no gradient; -1: all do.
at::Tensor embeddings(const at::Tensor& words, const at::Tensor& ids, int64_t pad, const at::Tensor& types,
                      const at::Tensor& type_ids, const at::Tensor& positions, const at::Tensor& position_ids,
                      const at::Tensor& gamma, const at::Tensor& beta, double eps, Dropout dropout, bool half);

// act(x W' + b)
at::Tensor linear(const at::Tensor& x, Activation act, const variable_list& parts);

// layer_norm(drop(x W' + b) + residual)
at::Tensor linear_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& gamma, const at::Tensor& beta,
                       double eps, Dropout dropout, const variable_list& parts);

// Sum over rows of |x W' + b - target|^2, a scalar in fp32.
at::Tensor squared_error(const at::Tensor& x, const at::Tensor& target, const variable_list& parts);

// A weight [out, in] of an inference-only model, in panels (product.h) of bf16 or fp32.
at::Tensor pack(const at::Tensor& weight, bool half);

struct Attended {
  // [queries, width]
  at::Tensor context;
  // Where there is a teacher: sum of squared differences of the scores, a scalar in fp32.
  at::Tensor squares;
  // Where they are wanted: the scores, of each sequence [heads, length, length], one after the other.
  at::Tensor scores;
};

// Self-attention. `kv` holds a token's query, key and value side by side, and `q` is undefined; or key and value,
// and `q` is the query of each sequence's first token. `offsets` int32 [sequences + 1]: where each begins, and the
// end. `teacher` is like `scores`, or undefined. `bias`, or undefined, fp32 [heads, 2 n - 1] for sequences of at most n
// tokens: bias[h][n - 1 + k - q] is added to head h's score of a query at place q and a key at place k.
Attended attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& offsets, int64_t heads, Dropout dropout,
                   const at::Tensor& teacher, const at::Tensor& bias, bool scores);

// The relation loss (MiniLMv2, arXiv 2012.15828): of a student's and a teacher's query, key and value side by side
// [tokens, 3 width], each cut into `heads` relation heads, the sum over heads and tokens of the Kullback-Leibler
// divergence of relations, `weights` times that of queries, keys and values. A scalar in fp32.
at::Tensor relations(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& offsets, int64_t heads,
                     std::array<double, 3> weights);

}  // namespace tinyrun
