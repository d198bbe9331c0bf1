// Hidden state 0 of tokens without padding: the sum of three rows of tables, normalised, with dropout.

#include "nodes.h"
#include "product.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

namespace tinyrun {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// A table and which of its rows each token takes.
struct Table {
  const float* rows;
  const int64_t* places;

  Table(const char* name, const at::Tensor& table, const at::Tensor& taken)
      : rows(data<float>(table)), places(data<int64_t>(taken)) {
    for (int64_t i = 0; i < taken.numel(); ++i)
      TORCH_CHECK(places[i] >= 0 && places[i] < table.size(0), "row ", places[i], " of the ", table.size(0),
                  " rows of ", name);
  }
};

// Sums each token's gradient into its row of a table; tokens of row `none` give nothing. A strip of columns at a
// time, so that a row's tokens are added in their order whatever the number of threads.
template <typename T>
void add_rows(const at::Tensor& gradient, const at::Tensor& taken, int64_t none, const at::Tensor& table) {
  constexpr int64_t kStrip = 64;
  const int64_t tokens = gradient.size(0), width = gradient.size(1), strips = (width + kStrip - 1) / kStrip;
  const T* from = data<T>(gradient);
  const int64_t* places = data<int64_t>(taken);
  float* to = data<float>(table);
#pragma omp for schedule(static) nowait
  for (int64_t s = 0; s < strips; ++s) {
    const int64_t column = s * kStrip, n = std::min(kStrip, width - column);
    for (int64_t i = 0; i < tokens; ++i)
      if (places[i] != none) kernels<T>().add(from + i * width + column, n, to + places[i] * width + column);
  }
}

template <typename T>
struct Embeddings : Function<Embeddings<T>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& words, const at::Tensor& ids, int64_t pad,
                            const at::Tensor& types, const at::Tensor& type_ids, const at::Tensor& positions,
                            const at::Tensor& position_ids, const at::Tensor& gamma, const at::Tensor& beta, double eps,
                            Dropout dropout) {
    const int64_t tokens = ids.numel(), width = words.size(1);
    const Table word("words", words, ids), type("segments", types, type_ids),
        position("positions", positions, position_ids);
    const at::Tensor y = at::empty({tokens, width}, at::TensorOptions(kScalar<T>)), z = at::empty_like(y);
    const at::Tensor mean = at::empty({tokens}, at::TensorOptions(at::kFloat)), rstd = at::empty_like(mean);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < tokens; ++i)
      kernels<T>().embed(word.rows + word.places[i] * width, type.rows + type.places[i] * width,
                         position.rows + position.places[i] * width, width, data<float>(gamma), data<float>(beta),
                         static_cast<float>(eps), dropout, static_cast<uint32_t>(i * width), data<T>(z) + i * width,
                         data<float>(mean) + i, data<float>(rstd) + i, data<T>(y) + i * width);
    context->save_for_backward({ids, type_ids, position_ids, z, mean, rstd, gamma, words, types, positions});
    context->saved_data["pad"] = pad;
    save(context, dropout);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &z = saved[3], &mean = saved[4], &rstd = saved[5], &gamma = saved[6];
    const Dropout dropout = saved_dropout(context);
    at::Tensor dy = gradients[0].contiguous();
    const int64_t rows = z.size(0), width = z.size(1);
    if (dropout.dropped != 0) {
      const at::Tensor undropped = at::empty_like(dy);
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < rows; ++i)
        kernels<T>().drop(data<T>(dy) + i * width, width, dropout, static_cast<uint32_t>(i * width),
                          data<T>(undropped) + i * width);
      dy = undropped;
    }
    const at::Tensor dz = at::empty_like(z), norms = at::empty({2, width}, at::TensorOptions(at::kFloat));
    norm_backward<T>(dy, z, mean, rstd, gamma, {0, 0, 1.0f}, dz, dz, norms);
    // Tables get a gradient of their own size; that of words is often the rows of this batch alone.
    const auto zeros = [](const at::Tensor& table) { return at::zeros(table.sizes(), at::TensorOptions(at::kFloat)); };
    const at::Tensor dwords = zeros(saved[7]), dtypes = zeros(saved[8]), dpositions = zeros(saved[9]);
    const int64_t pad = context->saved_data["pad"].toInt();
#pragma omp parallel
    {
      add_rows<T>(dz, saved[0], pad, dwords);
      add_rows<T>(dz, saved[1], -1, dtypes);
      add_rows<T>(dz, saved[2], -1, dpositions);
    }
    const at::Tensor none;
    return {dwords, none, none, dtypes, none, dpositions, none, norms[0], norms[1], none, none};
  }
};

}  // namespace

at::Tensor embeddings(const at::Tensor& words, const at::Tensor& ids, int64_t pad, const at::Tensor& types,
                      const at::Tensor& type_ids, const at::Tensor& positions, const at::Tensor& position_ids,
                      const at::Tensor& gamma, const at::Tensor& beta, double eps, Dropout dropout, bool half) {
  return half ? Embeddings<bf16>::apply(words, ids, pad, types, type_ids, positions, position_ids, gamma, beta, eps,
                                        dropout)
              : Embeddings<float>::apply(words, ids, pad, types, type_ids, positions, position_ids, gamma, beta, eps,
                                         dropout);
}

}  // namespace tinyrun
