// Masks of dropout, drawn by place.
//
// libtorch draws a mask number by number from one generator, on one thread; here a number is a hash
// of the mask's key and the element's place, so that all threads draw at once and the mask does not depend
// on how many they are.

#include "dropout_mask.h"
#include "exact.h"

namespace tinyrun {
namespace {

constexpr int64_t kBlock = 16384;

template <typename Bits, typename Fill>
void fill(Bits* out, int64_t n, uint64_t place, Fill fill) {
  const int64_t count = (n + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static) if (count > 1)
  for (int64_t b = 0; b < count; ++b) {
    const int64_t from = b * kBlock;
    fill(out + from, n - from < kBlock ? n - from : kBlock, place + static_cast<uint64_t>(from));
  }
}

}  // namespace

void dropout_mask(const at::Tensor& mask, uint64_t place, uint64_t key, uint32_t dropped, uint32_t kept) {
  const auto& loops = exact_kernels();
  const auto fill16 = [&](auto* numbers) {
    fill(reinterpret_cast<uint16_t*>(numbers), mask.numel(), place, [&](uint16_t* out, int64_t n, uint64_t at) {
      loops.mask16(out, n, at, key, dropped, static_cast<uint16_t>(kept));
    });
  };
  const at::ScalarType kind = mask.defined() ? mask.scalar_type() : at::kByte;
  if (kind == at::kFloat) {
    const Checked<float> numbers("mask", mask, mask.sizes());
    fill(reinterpret_cast<uint32_t*>(numbers.data()), mask.numel(), place,
         [&](uint32_t* out, int64_t n, uint64_t at) { loops.mask32(out, n, at, key, dropped, kept); });
  } else if (kind == at::kBFloat16) {
    fill16(Checked<bf16>("mask", mask, mask.sizes()).data());
  } else if (kind == at::kHalf) {
    fill16(Checked<at::Half>("mask", mask, mask.sizes()).data());
  } else {
    refuse("mask", "fp32, bf16 or fp16", describe(mask));
  }
}

}  // namespace tinyrun
