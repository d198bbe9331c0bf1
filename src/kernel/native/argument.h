// The only way from a tensor to its numbers: a Checked<T>, whose kind, device, layout and sizes were compared with what
// its reader expects.

#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <string>

#include "kernels.h"

namespace tinyrun {

// libtorch's name of a number format.
template <typename T>
struct Scalar;
template <>
struct Scalar<float> {
  static constexpr at::ScalarType kind = at::kFloat;
};
template <>
struct Scalar<bf16> {
  static constexpr at::ScalarType kind = at::kBFloat16;
};
template <>
struct Scalar<at::Half> {
  static constexpr at::ScalarType kind = at::kHalf;
};
template <>
struct Scalar<int32_t> {
  static constexpr at::ScalarType kind = at::kInt;
};
template <>
struct Scalar<int64_t> {
  static constexpr at::ScalarType kind = at::kLong;
};
template <typename T>
constexpr at::ScalarType kScalar = Scalar<T>::kind;

// Stands for any size.
constexpr int64_t kAny = -1;

// Throws a sentence that names the argument, what it must be and what it is, unless it is a contiguous tensor of this
// kind and of these sizes in memory.
void check(const char* name, const at::Tensor& tensor, at::ScalarType kind, at::IntArrayRef sizes);

// Kind of a tensor that stands for one that is not given (autograd.h).
constexpr at::ScalarType kAbsent = at::kBool;
inline bool is_there(const at::Tensor& tensor) { return tensor.defined() && tensor.scalar_type() != kAbsent; }

// Kind and sizes, and what is unusual about its place in memory.
std::string describe(const at::Tensor& tensor);

// Throws the name of an argument, what it must be and what it is.
[[noreturn]] void refuse(const char* name, const std::string& expected, const std::string& found);

template <typename T>
class Checked {
 public:
  // An argument that is not given.
  Checked() = default;
  Checked(const char* name, const at::Tensor& tensor, at::IntArrayRef sizes) : tensor_(tensor) {
    check(name, tensor, kScalar<T>, sizes);
    data_ = static_cast<T*>(tensor.data_ptr());
  }
  static Checked empty(at::IntArrayRef sizes) {
    return Checked("result", at::empty(sizes, at::TensorOptions(kScalar<T>)), sizes);
  }

  bool given() const { return tensor_.defined(); }
  // Null where it is not given.
  T* data() const { return data_; }
  int64_t size(int64_t dimension) const { return tensor_.size(dimension); }
  int64_t numel() const { return tensor_.numel(); }
  const at::Tensor& tensor() const { return tensor_; }

 private:
  at::Tensor tensor_;
  T* data_ = nullptr;
};

// make(zero of the number format) for activations like `x`.
template <typename Make>
auto by_format(const char* name, const at::Tensor& x, Make make) {
  if (x.defined() && x.scalar_type() == at::kFloat) return make(float{});
  if (!x.defined() || x.scalar_type() != at::kBFloat16) refuse(name, "fp32 or bf16", describe(x));
  // Throws here where there are none, and not on many threads.
  kernels<bf16>();
  return make(bf16{});
}

}  // namespace tinyrun
