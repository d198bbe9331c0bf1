// Linear layers over tokens without padding, with what follows them in the same pass: an activation; dropout,
// residual and layer norm; the squared difference from a teacher's states.

#include "nodes.h"
#include "product.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <c10/util/Exception.h>

namespace tinyrun {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor make(at::IntArrayRef size, at::ScalarType kind) { return at::empty(size, at::TensorOptions(kind)); }

// Layers side by side over the same input. Weights and biases are fp32 leaves, or a model is only read: then its
// weights are packed already and there is one bias.
struct Layers {
  std::vector<at::Tensor> weights, biases;
  at::Tensor packed;

  explicit Layers(at::TensorList parts) {
    packed = is_there(parts[0]) ? parts[0] : at::Tensor();
    const size_t n = (parts.size() - 1) / 2;
    for (size_t i = 0; i < n; ++i) {
      if (is_there(parts[1 + i])) weights.push_back(parts[1 + i]);
      biases.push_back(parts[1 + n + i]);
    }
  }

  int64_t outs() const {
    int64_t sum = 0;
    for (const auto& b : biases) sum += b.numel();
    return sum;
  }
  at::Tensor bias() const { return biases.size() == 1 ? biases[0] : at::cat(biases); }

  // Gradients of the parts: none of a packed weight; views of one tensor for the others.
  variable_list split(const at::Tensor& dw, const at::Tensor& db) const {
    variable_list found{at::Tensor()}, rest;
    int64_t from = 0;
    for (const auto& b : biases) {
      found.push_back(dw.narrow(0, from, b.numel()));
      rest.push_back(db.narrow(0, from, b.numel()));
      from += b.numel();
    }
    found.insert(found.end(), rest.begin(), rest.end());
    return found;
  }
};

// The same without undefined tensors.
variable_list all_given(variable_list parts) {
  for (auto& part : parts) part = tinyrun::given(part);
  return parts;
}

variable_list concatenated(variable_list first, at::TensorList rest) {
  first.insert(first.end(), rest.begin(), rest.end());
  return first;
}

template <typename T>
struct Linear : Function<Linear<T>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t act, at::TensorList parts) {
    const Layers layers(parts);
    const int64_t rows = x.size(0), outs = layers.outs();
    const auto kind = static_cast<Activation>(act);
    const at::Tensor y = make({rows, outs}, kScalar<T>), bias = layers.bias();
    const bool keeps = kind != Activation::kNone && !layers.weights.empty();
    const at::Tensor u = keeps ? make({rows, outs}, kScalar<T>) : at::Tensor();
    T *to = data<T>(y), *argument = keeps ? data<T>(u) : nullptr;
    const float* shift = data<float>(bias);
    multiply_forward<T>(x, layers.weights, layers.packed, outs, false,
                        [&](int64_t row, int64_t m, int64_t column, int64_t n, const float* c, int64_t ldc) {
                          const int64_t at = row * outs + column;
                          kernels<T>().activate(c, ldc, m, n, shift + column, kind, keeps ? argument + at : nullptr,
                                                to + at, outs);
                        });
    context->save_for_backward(concatenated({x, u}, parts));
    context->saved_data["act"] = act;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &u = saved[1];
    const Layers layers(at::TensorList(saved).slice(2));
    at::Tensor du = gradients[0].contiguous();
    if (u.defined()) {
      const auto act = static_cast<Activation>(context->saved_data["act"].toInt());
      const at::Tensor dy = du;
      du = make(dy.sizes(), kScalar<T>);
      const int64_t n = dy.numel(), block = 8192;
#pragma omp parallel for schedule(static)
      for (int64_t from = 0; from < n; from += block)
        kernels<T>().activate_backward(data<T>(dy) + from, data<T>(u) + from, std::min(block, n - from), act,
                                       data<T>(du) + from);
    }
    const at::Tensor dx = context->needs_input_grad(0) ? make(x.sizes(), kScalar<T>) : at::Tensor();
    const at::Tensor dw = make({layers.outs(), x.size(1)}, at::kFloat), db = make({layers.outs()}, at::kFloat);
    linear_backward<T>(du, x, layers.weights, 1.0f, dx, dw, db);
    return concatenated({dx, at::Tensor()}, layers.split(dw, db));
  }
};

template <typename T>
struct LinearNorm : Function<LinearNorm<T>> {
  // `dropout` is of the linear layer's output.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& residual,
                            const at::Tensor& gamma, const at::Tensor& beta, double eps, Dropout dropout,
                            at::TensorList parts) {
    const Layers layers(parts);
    const int64_t rows = x.size(0), width = residual.size(1);
    const at::Tensor y = make({rows, width}, kScalar<T>), z = make({rows, width}, kScalar<T>);
    const at::Tensor mean = make({rows}, at::kFloat), rstd = make({rows}, at::kFloat);
    const at::Tensor bias = layers.bias();
    multiply_forward<T>(x, layers.weights, layers.packed, width, true,
                        [&](int64_t row, int64_t m, int64_t, int64_t, float* c, int64_t ldc) {
                          const int64_t at = row * width;
                          kernels<T>().norm(c, ldc, m, width, data<float>(bias), data<T>(residual) + at,
                                            data<float>(gamma), data<float>(beta), static_cast<float>(eps), dropout,
                                            static_cast<uint32_t>(at), data<T>(z) + at, data<float>(mean) + row,
                                            data<float>(rstd) + row, data<T>(y) + at);
                        });
    context->save_for_backward(concatenated({x, z, mean, rstd, gamma}, parts));
    save(context, dropout);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &z = saved[1], &mean = saved[2], &rstd = saved[3], &gamma = saved[4];
    const Layers layers(at::TensorList(saved).slice(5));
    const Dropout dropout = saved_dropout(context);
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t width = z.size(1);
    const at::Tensor dz = make(z.sizes(), kScalar<T>);
    const at::Tensor du = dropout.dropped == 0 ? dz : make(z.sizes(), kScalar<T>);
    const at::Tensor norms = make({2, width}, at::kFloat);
    norm_backward<T>(dy, z, mean, rstd, gamma, dropout, dz, du, norms);
    const at::Tensor dx = context->needs_input_grad(0) ? make(x.sizes(), kScalar<T>) : at::Tensor();
    const at::Tensor dw = make({width, x.size(1)}, at::kFloat), db = make({width}, at::kFloat);
    linear_backward<T>(du, x, layers.weights, 1.0f, dx, dw, db);
    const at::Tensor none;
    return concatenated({dx, dz, norms[0], norms[1], none, none}, layers.split(dw, db));
  }
};

// Sum over rows of |x W' + b - target|^2.
template <typename T>
struct Squares : Function<Squares<T>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& target,
                            at::TensorList parts) {
    const Layers layers(parts);
    const int64_t rows = x.size(0), outs = layers.outs(), count = panels(outs);
    const at::Tensor difference = make({rows, outs}, kScalar<T>), bias = layers.bias();
    // A sum for each row of a tile, added in their order whatever the number of threads.
    std::vector<double> sums(static_cast<size_t>(rows * count), 0.0);
    multiply_forward<T>(x, layers.weights, layers.packed, outs, false,
                        [&](int64_t row, int64_t m, int64_t column, int64_t n, const float* c, int64_t ldc) {
                          const int64_t at = row * outs + column;
                          kernels<T>().difference(c, ldc, m, n, data<float>(bias) + column, data<T>(target) + at, outs,
                                                  data<T>(difference) + at, sums.data() + row * count + column / kPanel,
                                                  count);
                        });
    double sum = 0.0;
    for (const double part : sums) sum += part;
    context->save_for_backward(concatenated({x, difference}, parts));
    return at::full({}, sum, at::TensorOptions(at::kFloat));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &difference = saved[1];
    const Layers layers(at::TensorList(saved).slice(2));
    const float twice = 2.0f * gradients[0].item<float>();
    const at::Tensor dx = make(x.sizes(), kScalar<T>);
    const at::Tensor dw = make({layers.outs(), x.size(1)}, at::kFloat), db = make({layers.outs()}, at::kFloat);
    linear_backward<T>(difference, x, layers.weights, twice, dx, dw, db);
    return concatenated({dx, at::Tensor()}, layers.split(dw, db));
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, Activation act, const variable_list& parts) {
  const auto kind = static_cast<int64_t>(act);
  const variable_list given = all_given(parts);
  const at::TensorList all(given);
  return x.scalar_type() == at::kFloat ? Linear<float>::apply(x, kind, all) : Linear<bf16>::apply(x, kind, all);
}

at::Tensor linear_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& gamma, const at::Tensor& beta,
                       double eps, Dropout dropout, const variable_list& parts) {
  const variable_list given = all_given(parts);
  const at::TensorList all(given);
  return x.scalar_type() == at::kFloat ? LinearNorm<float>::apply(x, residual, gamma, beta, eps, dropout, all)
                                       : LinearNorm<bf16>::apply(x, residual, gamma, beta, eps, dropout, all);
}

at::Tensor squares(const at::Tensor& x, const at::Tensor& target, const variable_list& parts) {
  TORCH_CHECK(x.scalar_type() == target.scalar_type(), "hidden states of the teacher are ", target.scalar_type(),
              ", those of the student ", x.scalar_type());
  const variable_list given = all_given(parts);
  const at::TensorList all(given);
  return x.scalar_type() == at::kFloat ? Squares<float>::apply(x, target, all) : Squares<bf16>::apply(x, target, all);
}

at::Tensor pack(const at::Tensor& weight, at::ScalarType kind) {
  const int64_t numbers = panels(weight.size(0)) * panel_size(weight.size(1));
  const at::Tensor packed = kind == at::kFloat ? room<float>(numbers) : room<bf16>(numbers);
  const std::vector<at::Tensor> weights{weight};
#pragma omp parallel
  {
    if (kind == at::kFloat)
      pack_forward(weights, data<float>(packed));
    else
      pack_forward(weights, data<bf16>(packed));
  }
  return packed;
}

}  // namespace tinyrun
