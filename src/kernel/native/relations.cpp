// The relation loss over a packed batch: queries, keys and values of all attention heads side by side, cut into
// relation heads of their own.

#include "autograd.h"
#include "product.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mul.h>

#include <string>

namespace tinyrun {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// Queries, keys, values.
constexpr int64_t kParts = 3;

// Width of a relation head of rows [tokens, 3 width].
int64_t width_of(const char* name, const at::Tensor& rows, int64_t heads) {
  const int64_t columns = rows.size(1);
  if (heads < 1 || columns == 0 || columns % (kParts * heads) != 0)
    refuse(name, "of 3 parts of " + std::to_string(heads) + " relation heads", describe(rows));
  return columns / (kParts * heads);
}

// Where each sequence begins, which must rise from 0 to the number of rows, and the longest of them.
template <typename T>
int64_t longest(const Checked<int32_t>& offsets, const Checked<T>& rows) {
  const int32_t* at = offsets.data();
  const int64_t last = offsets.numel() - 1;
  bool rises = last >= 1 && at[0] == 0 && at[last] == rows.size(0);
  int64_t found = 0;
  for (int64_t s = 0; rises && s < last; ++s) {
    rises = at[s] < at[s + 1];
    found = std::max(found, int64_t{at[s + 1]} - at[s]);
  }
  if (!rises)
    refuse("offsets", "offsets that rise from 0 to the " + std::to_string(rows.size(0)) + " rows",
           describe(offsets.tensor()));
  return found;
}

template <typename T>
struct Relations : Function<Relations<T>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& own, const at::Tensor& others,
                            const at::Tensor& begins, int64_t heads, std::array<double, kParts> weights, bool learns) {
    const Checked<T> student("student's qkv", own, {kAny, kAny});
    const Checked<T> teacher("teacher's qkv", others, {student.size(0), kAny});
    const Checked<int32_t> bounds("offsets", begins, {kAny});
    const int64_t width = width_of("student's qkv", own, heads), teacher_width = width_of("teacher's qkv", others, heads);
    const int64_t ld = student.size(1), teacher_ld = teacher.size(1);
    const int64_t sequences = bounds.numel() - 1, most = longest(bounds, student), each = kParts * heads;
    const int32_t* offsets = bounds.data();
    const auto& loops = kernels<T>();
    const int64_t room = loops.relation_scratch(most, width, teacher_width);
    // In fp32, to be rounded once.
    const auto gradient = Checked<float>::empty({learns ? student.size(0) : 0, ld});
    std::vector<double> sums(static_cast<size_t>(sequences * each), 0.0);
    Failure failure;
#pragma omp parallel for schedule(dynamic, heads)
    for (int64_t i = 0; i < sequences * each; ++i)
      failure.guard([&] {
        const int64_t s = i / each, part = i % each, from = offsets[s];
        const double weight = weights[static_cast<size_t>(part / heads)];
        const Relation<T> relation{offsets[s + 1] - from,
                                   width,
                                   teacher_width,
                                   student.data() + from * ld + part * width,
                                   teacher.data() + from * teacher_ld + part * teacher_width,
                                   ld,
                                   teacher_ld};
        float* const out = learns ? gradient.data() + from * ld + part * width : nullptr;
        if (weight == 0.0) {
          for (int64_t row = 0; learns && row < relation.length; ++row)
            std::fill_n(out + row * ld, width, 0.0f);
          return;
        }
        sums[static_cast<size_t>(i)] =
            weight * loops.relation(relation, scratch(room), static_cast<float>(weight), out, ld);
      });
    failure.rethrow();
    double sum = 0.0;
    for (const double part : sums) sum += part;
    context->save_for_backward({gradient.tensor()});
    context->saved_data["kind"] = own.scalar_type();
    return at::full({}, sum, at::TensorOptions(at::kFloat));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor gradient = context->get_saved_variables()[0];
    const at::Tensor none, scaled = at::mul(gradient, gradients[0]);
    return {scaled.to(context->saved_data["kind"].toScalarType()), none, none, none, none, none};
  }
};

}  // namespace

at::Tensor relations(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& offsets, int64_t heads,
                     std::array<double, 3> weights) {
  const bool learns = at::GradMode::is_enabled() && student.defined() && student.requires_grad();
  return by_format("student's qkv", student, [&](auto zero) {
    return Relations<decltype(zero)>::apply(student, given(teacher), given(offsets), heads, weights, learns);
  });
}

}  // namespace tinyrun
