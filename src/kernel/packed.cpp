// Linear layers whose weight lies in memory as oneDNN wants it, with what follows them in the same pass.
//
// tch binds neither operator. A null result says that this libtorch has none, or refuses the shape.

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/SymInt.h>

#include <exception>
#include <optional>
#include <string_view>

namespace {

using Linear = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                          c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

}  // namespace

extern "C" {

// `weight` [out, in] packed for inputs of about `rows` rows. The caller owns the result.
at::Tensor* tinyrun_pack(const at::Tensor* weight, int64_t rows) {
  try {
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "");
    torch::jit::Stack stack{*weight, rows};
    op.callBoxed(stack);
    return new at::Tensor(stack.at(0).toTensor());
  } catch (const std::exception&) {
    return nullptr;
  }
}

// x W' + b, then gelu by the error function (`gelu` 1), by tanh (2), or nothing (0).
at::Tensor* tinyrun_packed_linear(const at::Tensor* x, const at::Tensor* packed, const at::Tensor* bias, int gelu) {
  try {
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Linear>();
    const std::string_view attribute = gelu == 0 ? "none" : "gelu";
    const std::optional<std::string_view> algorithm = gelu == 2 ? std::string_view("tanh") : std::string_view("none");
    const c10::List<std::optional<at::Scalar>> scalars;
    return new at::Tensor(op.call(*x, *packed, *bias, attribute, scalars, algorithm));
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // extern "C"
