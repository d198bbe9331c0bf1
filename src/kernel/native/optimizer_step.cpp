// One-pass Adam over tensors.
//
// tch binds no fused Adam, and libtorch's own knows no rule without bias correction. Composed of
// tensor operations an update reads and writes the 57 MB of a TinyBERT's tensors a dozen times over;
// here it is once. The arithmetic of an element does not depend on the number of threads.

#include "optimizer_step.h"

#include <string>
#include <vector>

namespace tinyrun {
namespace {

// Elements one thread works on at a time. Fixed, so that the blocks of a sum do not move with the
// number of threads.
constexpr int64_t kBlock = 16384;

// Calls `step` for parts of the tensor on all threads, each with its gradient.
template <typename Step>
void update_all(const float* g, int64_t n, Step step) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static) if (blocks > 1)
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t from = b * kBlock;
    step(from, n - from < kBlock ? n - from : kBlock, g + from);
  }
}

// The same for a table whose gradient is that of some rows and zero for the others; for rows that have none and whose
// moments are zero, `rest`.
template <typename Step, typename Rest>
void update_rows(const float* g, int64_t height, int64_t width, const SparseRows& rows, Step step, Rest rest) {
  // Of each row of the table, its place in the gradient; -1 where it has none.
  std::vector<int64_t> places(static_cast<size_t>(height), -1);
  for (int64_t i = 0; i < rows.count; ++i) {
    if (rows.numbers[i] < 0 || rows.numbers[i] >= height)
      refuse("rows", "below the " + std::to_string(height) + " rows of the table", std::to_string(rows.numbers[i]));
    places[static_cast<size_t>(rows.numbers[i])] = i;
  }
  const std::vector<float> zeros(static_cast<size_t>(width), 0.0f);
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < height; ++row) {
    const int64_t place = places[static_cast<size_t>(row)];
    if (place >= 0) rows.moved[row] = 1;
    if (rows.moved[row] == 0)
      rest(row * width, width);
    else
      step(row * width, width, place < 0 ? zeros.data() : g + place * width);
  }
}

}  // namespace

double squared_sum(const at::Tensor& gradient) {
  const Checked<float> g("gradient", gradient, gradient.defined() ? gradient.sizes() : at::IntArrayRef{});
  const auto& loops = exact_kernels();
  const int64_t n = g.numel(), blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> partial(static_cast<size_t>(blocks), 0.0);
#pragma omp parallel for schedule(static) if (blocks > 1)
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t from = b * kBlock;
    partial[static_cast<size_t>(b)] = loops.squared_sum(g.data() + from, n - from < kBlock ? n - from : kBlock);
  }
  double sum = 0.0;
  for (const double part : partial) sum += part;
  return sum;
}

void adam(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first_moment,
          const at::Tensor& second_moment, const SparseRows* rows, bool corrects_bias, const AdamStep& step) {
  const at::IntArrayRef sizes = parameter.defined() ? parameter.sizes() : at::IntArrayRef{};
  const Checked<float> p("parameter", parameter, sizes), m("first moment", first_moment, sizes),
      v("second moment", second_moment, sizes);
  const auto& loops = exact_kernels();
  const auto update = corrects_bias ? loops.adamw : loops.bert_adam;
  const auto at_rest = corrects_bias ? loops.adamw_at_rest : loops.bert_adam_at_rest;
  const auto move = [&](int64_t from, int64_t count, const float* g) {
    update(p.data() + from, g, m.data() + from, v.data() + from, count, step);
  };
  if (rows == nullptr) {
    const Checked<float> g("gradient", gradient, sizes);
    update_all(g.data(), p.numel(), move);
    return;
  }
  if (sizes.size() != 2) refuse("parameter", "a table where its gradient is that of rows", describe(parameter));
  if (rows->flags != sizes[0])
    refuse("moved", std::to_string(sizes[0]) + " flags, one per row", std::to_string(rows->flags));
  const Checked<float> g("gradient", gradient, {rows->count, sizes[1]});
  update_rows(g.data(), sizes[0], sizes[1], *rows, move,
              [&](int64_t from, int64_t count) { at_rest(p.data() + from, count, step); });
}

}  // namespace tinyrun
