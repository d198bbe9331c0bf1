// Calls Rust in the middle of a backward pass, as soon as the gradient of a tensor is complete.

#include "ffi.h"

#include <cstdint>
#include <stdexcept>

#include <torch/csrc/autograd/variable.h>

namespace {

// Whether Rust could take the gradient.
using Taker = int (*)(const void* context, const at::Tensor* gradient);

}  // namespace

extern "C" {

// The number of the hook on this tensor, or -1 after a failure.
int64_t tinyrun_hook(const at::Tensor* tensor, Taker taker, const void* context) {
  int64_t number = -1;
  tinyrun::succeeds([&] {
    number = tensor->register_hook([taker, context](const at::Tensor& gradient) {
      if (taker(context, &gradient) == 0) throw std::runtime_error("a gradient cannot be taken");
    });
  });
  return number;
}

void tinyrun_unhook(const at::Tensor* tensor, int64_t number) {
  tinyrun::succeeds([&] { tensor->remove_hook(static_cast<unsigned>(number)); });
}

}  // extern "C"
