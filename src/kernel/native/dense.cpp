// Linear layers over a packed batch, with what follows them in the same pass: an activation; dropout, residual and
// layer norm; the squared error from a teacher's states.

#include "autograd.h"
#include "product.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

namespace tinyrun {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// bf16 is multiplied two numbers at a time.
template <typename T>
void even_in_bf16(const char* name, const at::Tensor& weight) {
  if (sizeof(T) == 2 && (weight.size(0) % 2 != 0 || weight.size(1) % 2 != 0))
    refuse(name, "of even sizes in a model of bf16", describe(weight));
}

// Layers side by side over the same input of `ins` columns. Weights and biases are fp32 leaves; or the model is
// inference-only: then its weights are packed already and there is one bias.
template <typename T>
struct Layers {
  std::vector<Checked<float>> weights, biases;
  Checked<T> packed;

  Layers(at::TensorList parts, int64_t ins) {
    const size_t n = (parts.size() - 1) / 2;
    for (size_t i = 0; i < n; ++i) biases.emplace_back("bias", parts[1 + n + i], at::IntArrayRef{kAny});
    if (is_there(parts[0])) {
      packed = Checked<T>("packed weight", parts[0], {panels(outs()) * panel_size(ins)});
      return;
    }
    for (size_t i = 0; i < n; ++i) {
      weights.emplace_back("weight", parts[1 + i], at::IntArrayRef{biases[i].numel(), ins});
      even_in_bf16<T>("weight", weights[i].tensor());
    }
  }

  // The weights, for a backward pass.
  const std::vector<Checked<float>>& trained() const {
    if (weights.empty()) refuse("weight", "a trained one where a gradient is wanted", "packed");
    return weights;
  }

  int64_t outs() const {
    int64_t sum = 0;
    for (const auto& b : biases) sum += b.numel();
    return sum;
  }
  Checked<float> bias() const {
    if (biases.size() == 1) return biases[0];
    std::vector<at::Tensor> all;
    for (const auto& b : biases) all.push_back(b.tensor());
    return Checked<float>("bias", at::cat(all), {outs()});
  }

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
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, int64_t act, at::TensorList parts) {
    const Checked<T> x("x", input, {kAny, kAny});
    const Layers<T> layers(parts, x.size(1));
    const auto& loops = kernels<T>();
    const int64_t rows = x.size(0), outs = layers.outs();
    const auto kind = static_cast<Activation>(act);
    const auto y = Checked<T>::empty({rows, outs});
    const auto bias = layers.bias();
    const bool keeps = kind != Activation::kNone && !layers.weights.empty();
    const auto u = keeps ? Checked<T>::empty({rows, outs}) : Checked<T>();
    multiply_forward<T>(x, layers.weights, layers.packed, outs, false,
                        [&](int64_t row, int64_t m, int64_t column, int64_t n, const float* c, int64_t ldc) {
                          const int64_t at = row * outs + column;
                          loops.activate(c, ldc, m, n, bias.data() + column, kind, keeps ? u.data() + at : nullptr,
                                         y.data() + at, outs);
                        });
    context->save_for_backward(concatenated({input, u.tensor()}, parts));
    context->saved_data["act"] = act;
    return y.tensor();
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Checked<T> x("x", saved[0], {kAny, kAny});
    const Layers<T> layers(at::TensorList(saved).slice(2), x.size(1));
    const auto& loops = kernels<T>();
    const int64_t rows = x.size(0), outs = layers.outs();
    Checked<T> du("gradient", gradients[0].contiguous(), {rows, outs});
    if (saved[1].defined()) {
      const Checked<T> u("argument", saved[1], {rows, outs}), dy = du;
      const auto act = static_cast<Activation>(context->saved_data["act"].toInt());
      du = Checked<T>::empty({rows, outs});
      const int64_t n = dy.numel(), block = 8192;
#pragma omp parallel for schedule(static)
      for (int64_t from = 0; from < n; from += block)
        loops.activate_backward(dy.data() + from, u.data() + from, std::min(block, n - from), act, du.data() + from);
    }
    const auto dx = context->needs_input_grad(0) ? Checked<T>::empty({rows, x.size(1)}) : Checked<T>();
    const auto dw = Checked<float>::empty({outs, x.size(1)}), db = Checked<float>::empty({outs});
    linear_backward<T>(du, x, layers.trained(), 1.0f, dx, dw, db);
    return concatenated({dx.tensor(), at::Tensor()}, layers.split(dw.tensor(), db.tensor()));
  }
};

template <typename T>
struct LinearNorm : Function<LinearNorm<T>> {
  // `dropout` is of the linear layer's output.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& shortcut,
                            const at::Tensor& weight, const at::Tensor& shift, double eps, Dropout dropout,
                            at::TensorList parts) {
    const Checked<T> x("x", input, {kAny, kAny});
    const Layers<T> layers(parts, x.size(1));
    const auto& loops = kernels<T>();
    const int64_t rows = x.size(0), width = layers.outs();
    const Checked<T> residual("residual", shortcut, {rows, width});
    const Checked<float> gamma("gamma", weight, {width}), beta("beta", shift, {width});
    const auto y = Checked<T>::empty({rows, width}), z = Checked<T>::empty({rows, width});
    const auto mean = Checked<float>::empty({rows}), rstd = Checked<float>::empty({rows});
    const auto bias = layers.bias();
    multiply_forward<T>(x, layers.weights, layers.packed, width, true,
                        [&](int64_t row, int64_t m, int64_t, int64_t, float* c, int64_t ldc) {
                          const int64_t at = row * width;
                          loops.norm(c, ldc, m, width, bias.data(), residual.data() + at, gamma.data(), beta.data(),
                                     static_cast<float>(eps), dropout, dropout.begin + static_cast<uint64_t>(at), z.data() + at,
                                     mean.data() + row, rstd.data() + row, y.data() + at);
                        });
    context->save_for_backward(concatenated({input, z.tensor(), mean.tensor(), rstd.tensor(), weight}, parts));
    save(context, dropout);
    return y.tensor();
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Checked<T> x("x", saved[0], {kAny, kAny});
    const Layers<T> layers(at::TensorList(saved).slice(5), x.size(1));
    const int64_t rows = x.size(0), width = layers.outs();
    const Checked<T> z("sum", saved[1], {rows, width});
    const Checked<float> mean("mean", saved[2], {rows}), rstd("rstd", saved[3], {rows}),
        gamma("gamma", saved[4], {width});
    const Dropout dropout = saved_dropout(context);
    const Checked<T> dy("gradient", gradients[0].contiguous(), {rows, width});
    const auto dz = Checked<T>::empty({rows, width});
    const auto du = dropout.dropped == 0 ? dz : Checked<T>::empty({rows, width});
    const auto norms = Checked<float>::empty({2, width});
    norm_backward<T>(dy, z, mean, rstd, gamma, dropout, dz, du, norms);
    const auto dx = context->needs_input_grad(0) ? Checked<T>::empty({rows, x.size(1)}) : Checked<T>();
    const auto dw = Checked<float>::empty({width, x.size(1)}), db = Checked<float>::empty({width});
    linear_backward<T>(du, x, layers.trained(), 1.0f, dx, dw, db);
    const at::Tensor none;
    return concatenated({dx.tensor(), dz.tensor(), norms.tensor()[0], norms.tensor()[1], none, none},
                        layers.split(dw.tensor(), db.tensor()));
  }
};

// Sum over rows of |x W' + b - target|^2.
template <typename T>
struct SquaredError : Function<SquaredError<T>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& wanted,
                            at::TensorList parts) {
    const Checked<T> x("x", input, {kAny, kAny});
    const Layers<T> layers(parts, x.size(1));
    const auto& loops = kernels<T>();
    const int64_t rows = x.size(0), outs = layers.outs(), count = panels(outs);
    const Checked<T> target("target", wanted, {rows, outs});
    const auto difference = Checked<T>::empty({rows, outs});
    const auto bias = layers.bias();
    // A sum for each row of a tile, added in their order whatever the number of threads.
    std::vector<double> sums(static_cast<size_t>(rows * count), 0.0);
    multiply_forward<T>(x, layers.weights, layers.packed, outs, false,
                        [&](int64_t row, int64_t m, int64_t column, int64_t n, const float* c, int64_t ldc) {
                          const int64_t at = row * outs + column;
                          loops.difference(c, ldc, m, n, bias.data() + column, target.data() + at, outs,
                                           difference.data() + at, sums.data() + row * count + column / kPanel, count);
                        });
    double sum = 0.0;
    for (const double part : sums) sum += part;
    context->save_for_backward(concatenated({input, difference.tensor()}, parts));
    return at::full({}, sum, at::TensorOptions(at::kFloat));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Checked<T> x("x", saved[0], {kAny, kAny});
    const Layers<T> layers(at::TensorList(saved).slice(2), x.size(1));
    const int64_t rows = x.size(0), outs = layers.outs();
    const Checked<T> difference("difference", saved[1], {rows, outs});
    const float twice = 2.0f * gradients[0].item<float>();
    const auto dx = Checked<T>::empty({rows, x.size(1)});
    const auto dw = Checked<float>::empty({outs, x.size(1)}), db = Checked<float>::empty({outs});
    linear_backward<T>(difference, x, layers.trained(), twice, dx, dw, db);
    return concatenated({dx.tensor(), at::Tensor()}, layers.split(dw.tensor(), db.tensor()));
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, Activation act, const variable_list& parts) {
  const variable_list given = all_given(parts);
  return by_format("x", x, [&](auto zero) {
    return Linear<decltype(zero)>::apply(x, static_cast<int64_t>(act), at::TensorList(given));
  });
}

at::Tensor linear_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& gamma, const at::Tensor& beta,
                       double eps, Dropout dropout, const variable_list& parts) {
  const variable_list given = all_given(parts);
  return by_format("x", x, [&](auto zero) {
    return LinearNorm<decltype(zero)>::apply(x, tinyrun::given(residual), tinyrun::given(gamma), tinyrun::given(beta),
                                             eps, dropout, at::TensorList(given));
  });
}

at::Tensor squared_error(const at::Tensor& x, const at::Tensor& target, const variable_list& parts) {
  const variable_list given = all_given(parts);
  return by_format("x", x, [&](auto zero) {
    return SquaredError<decltype(zero)>::apply(x, tinyrun::given(target), at::TensorList(given));
  });
}

at::Tensor pack(const at::Tensor& weight, bool half) {
  const std::vector<Checked<float>> weights{Checked<float>("weight", weight, {kAny, kAny})};
  const int64_t numbers = panels(weight.size(0)) * panel_size(weight.size(1));
  const auto packed = [&](auto zero) {
    using T = decltype(zero);
    kernels<T>();
    even_in_bf16<T>("weight", weight);
    const auto packed = Checked<T>::empty({numbers});
#pragma omp parallel
    pack_forward(weights, packed.data());
    return packed.tensor();
  };
  return half ? packed(bf16{}) : packed(float{});
}

}  // namespace tinyrun
