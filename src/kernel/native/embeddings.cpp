// Hidden state 0 of a packed batch: the sum of three rows of tables, normalised, with dropout.

#include "autograd.h"
#include "product.h"

#include <ATen/ops/zeros.h>

namespace tinyrun {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// A table, and the row of it that each token takes.
struct Table {
  Checked<float> rows;
  Checked<int64_t> taken;

  Table(const char* name, const at::Tensor& table, const char* taken_name, const at::Tensor& numbers, int64_t tokens,
        int64_t width)
      : rows(name, table, {kAny, width}), taken(taken_name, numbers, {tokens}) {
    for (int64_t i = 0; i < tokens; ++i) {
      const int64_t row = taken.data()[i];
      if (row < 0 || row >= rows.size(0))
        refuse(taken_name, "below the " + std::to_string(rows.size(0)) + " rows of " + name,
               std::to_string(row) + " for token " + std::to_string(i));
    }
  }

  const float* row(int64_t token) const { return rows.data() + taken.data()[token] * rows.size(1); }
};

// Sums each token's gradient into its row of a table; tokens of row `none` add nothing. A strip of columns at a
// time, so that a row's tokens are added in their order whatever the number of threads.
template <typename T>
void add_rows(const Checked<T>& gradient, const Checked<int64_t>& taken, int64_t none, const Checked<float>& table) {
  constexpr int64_t kStrip = 64;
  const int64_t tokens = gradient.size(0), width = gradient.size(1), strips = (width + kStrip - 1) / kStrip;
  const T* from = gradient.data();
  const int64_t* rows = taken.data();
  float* to = table.data();
  const auto& loops = kernels<T>();
#pragma omp for schedule(static) nowait
  for (int64_t s = 0; s < strips; ++s) {
    const int64_t column = s * kStrip, n = std::min(kStrip, width - column);
    for (int64_t i = 0; i < tokens; ++i)
      if (rows[i] != none) loops.add(from + i * width + column, n, to + rows[i] * width + column);
  }
}

template <typename T>
struct Embeddings : Function<Embeddings<T>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& words, const at::Tensor& ids, int64_t pad,
                            const at::Tensor& types, const at::Tensor& type_ids, const at::Tensor& positions,
                            const at::Tensor& position_ids, const at::Tensor& weight, const at::Tensor& shift,
                            double eps, Dropout dropout) {
    const auto& loops = kernels<T>();
    const int64_t tokens = Checked<int64_t>("ids", ids, {kAny}).size(0);
    const int64_t width = Checked<float>("words", words, {kAny, kAny}).size(1);
    const Table word("words", words, "ids", ids, tokens, width),
        type("segments", types, "segment ids", type_ids, tokens, width),
        position("positions", positions, "position ids", position_ids, tokens, width);
    const Checked<float> gamma("gamma", weight, {width}), beta("beta", shift, {width});
    const auto y = Checked<T>::empty({tokens, width}), z = Checked<T>::empty({tokens, width});
    const auto mean = Checked<float>::empty({tokens}), rstd = Checked<float>::empty({tokens});
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < tokens; ++i)
      loops.embed(word.row(i), type.row(i), position.row(i), width, gamma.data(), beta.data(), static_cast<float>(eps),
                  dropout, dropout.begin + static_cast<uint64_t>(i * width), z.data() + i * width, mean.data() + i, rstd.data() + i,
                  y.data() + i * width);
    context->save_for_backward(
        {ids, type_ids, position_ids, z.tensor(), mean.tensor(), rstd.tensor(), weight, words, types, positions});
    context->saved_data["pad"] = pad;
    save(context, dropout);
    return y.tensor();
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto& loops = kernels<T>();
    const Checked<T> z("sum", saved[3], {kAny, kAny});
    const int64_t rows = z.size(0), width = z.size(1);
    const Checked<float> mean("mean", saved[4], {rows}), rstd("rstd", saved[5], {rows}),
        gamma("gamma", saved[6], {width});
    const Dropout dropout = saved_dropout(context);
    Checked<T> dy("gradient", gradients[0].contiguous(), {rows, width});
    if (dropout.dropped != 0) {
      const auto undropped = Checked<T>::empty({rows, width});
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < rows; ++i)
        loops.drop(dy.data() + i * width, width, dropout, dropout.begin + static_cast<uint64_t>(i * width),
                   undropped.data() + i * width);
      dy = undropped;
    }
    const auto dz = Checked<T>::empty({rows, width});
    const auto norms = Checked<float>::empty({2, width});
    norm_backward<T>(dy, z, mean, rstd, gamma, {0, 0, 0, 1.0f}, dz, dz, norms);
    // Tables get a gradient of their own size; that of words is often the rows of this batch alone.
    const auto zeros = [&](const at::Tensor& table) {
      return Checked<float>("gradient", at::zeros(table.sizes(), at::TensorOptions(at::kFloat)), {kAny, width});
    };
    const Checked<float> dwords = zeros(saved[7]), dtypes = zeros(saved[8]), dpositions = zeros(saved[9]);
    const Table word("words", saved[7], "ids", saved[0], rows, width),
        type("segments", saved[8], "segment ids", saved[1], rows, width),
        position("positions", saved[9], "position ids", saved[2], rows, width);
    const int64_t pad = context->saved_data["pad"].toInt();
#pragma omp parallel
    {
      add_rows<T>(dz, word.taken, pad, dwords);
      add_rows<T>(dz, type.taken, -1, dtypes);
      add_rows<T>(dz, position.taken, -1, dpositions);
    }
    const at::Tensor none;
    return {dwords.tensor(),   none, none, dtypes.tensor(), none, dpositions.tensor(), none, norms.tensor()[0],
            norms.tensor()[1], none, none};
  }
};

}  // namespace

at::Tensor embeddings(const at::Tensor& words, const at::Tensor& ids, int64_t pad, const at::Tensor& types,
                      const at::Tensor& type_ids, const at::Tensor& positions, const at::Tensor& position_ids,
                      const at::Tensor& gamma, const at::Tensor& beta, double eps, Dropout dropout, bool half) {
  const auto apply = [&](auto zero) {
    using T = decltype(zero);
    kernels<T>();
    return Embeddings<T>::apply(given(words), given(ids), pad, given(types), given(type_ids), given(positions),
                                given(position_ids), given(gamma), given(beta), eps, dropout);
  };
  return half ? apply(bf16{}) : apply(float{});
}

}  // namespace tinyrun
