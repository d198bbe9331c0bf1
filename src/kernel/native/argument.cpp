#include "argument.h"

#include <sstream>
#include <stdexcept>

namespace tinyrun {
namespace {

const char* name_of(at::ScalarType kind) {
  switch (kind) {
    case at::kFloat:
      return "fp32";
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    case at::kInt:
      return "int32";
    case at::kLong:
      return "int64";
    default:
      return c10::toString(kind);
  }
}

std::string shape_of(at::IntArrayRef sizes) {
  std::ostringstream text;
  text << "[";
  for (size_t i = 0; i < sizes.size(); ++i) {
    text << (i == 0 ? "" : ", ");
    if (sizes[i] == kAny)
      text << "any";
    else
      text << sizes[i];
  }
  text << "]";
  return text.str();
}

}  // namespace

std::string describe(const at::Tensor& tensor) {
  if (!is_there(tensor)) return "not given";
  std::ostringstream text;
  text << name_of(tensor.scalar_type()) << " " << shape_of(tensor.sizes());
  if (!tensor.device().is_cpu())
    text << " on " << tensor.device();
  else if (tensor.layout() != at::kStrided)
    text << " in the layout " << tensor.layout();
  else if (!tensor.is_contiguous())
    text << ", not contiguous";
  return text.str();
}

void refuse(const char* name, const std::string& expected, const std::string& found) {
  throw std::invalid_argument("argument `" + std::string(name) + "` must be " + expected + ", is " + found);
}

void check(const char* name, const at::Tensor& tensor, at::ScalarType kind, at::IntArrayRef sizes) {
  bool right = tensor.defined() && tensor.scalar_type() == kind && tensor.device().is_cpu() &&
               tensor.layout() == at::kStrided && tensor.dim() == static_cast<int64_t>(sizes.size()) &&
               tensor.is_contiguous();
  for (size_t i = 0; right && i < sizes.size(); ++i)
    right = sizes[i] == kAny || sizes[i] == tensor.size(static_cast<int64_t>(i));
  if (!right)
    refuse(name, "contiguous " + std::string(name_of(kind)) + " " + shape_of(sizes) + " on the CPU", describe(tensor));
}

}  // namespace tinyrun
