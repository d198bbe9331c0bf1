// The loops of the kind of processor that cpu.rs has chosen.

#include <atomic>
#include <stdexcept>
#include <string>

#include "exact.h"
#include "kernels.h"

namespace tinyrun {

#define LOOPS(name)                   \
  namespace name {                    \
  extern const Kernels<float> kFloat; \
  extern const ExactKernels kExact;   \
  }
LOOPS(baseline)
#if defined(TINYRUN_PROCESSORS)
LOOPS(avx2)
LOOPS(avx512)
LOOPS(avx512_bf16)
namespace avx512_bf16 {
extern const Kernels<bf16> kHalf;
}
#endif
#undef LOOPS

namespace {

struct Loops {
  const Kernels<float>* single;
  // Null where the processor does not multiply in bf16.
  const Kernels<bf16>* half;
  const ExactKernels* exact;
};

// In the order of `Processor` in processor.rs.
constexpr Loops kLoops[] = {
    {&baseline::kFloat, nullptr, &baseline::kExact},
#if defined(TINYRUN_PROCESSORS)
    {&avx2::kFloat, nullptr, &avx2::kExact},
    {&avx512::kFloat, nullptr, &avx512::kExact},
    {&avx512_bf16::kFloat, &avx512_bf16::kHalf, &avx512_bf16::kExact},
#endif
};
constexpr int kCount = sizeof(kLoops) / sizeof(kLoops[0]);

std::atomic<const Loops*> chosen{nullptr};

const Loops& loops() {
  const Loops* found = chosen.load(std::memory_order_relaxed);
  if (found == nullptr) throw std::logic_error("no kind of processor was chosen");
  return *found;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return *loops().single;
}
template <>
const Kernels<bf16>& kernels<bf16>() {
  const Kernels<bf16>* found = loops().half;
  if (found == nullptr) throw std::logic_error("there are no loops in bf16 for this kind of processor");
  return *found;
}
const ExactKernels& exact_kernels() { return *loops().exact; }

void scratch_is_too_small(int64_t wanted, int64_t given) {
  throw std::logic_error("a loop wants " + std::to_string(wanted) + " numbers of scratch memory, there are " +
                         std::to_string(given));
}

}  // namespace tinyrun

extern "C" void tinyrun_choose_processor(int processor) {
  if (processor >= 0 && processor < tinyrun::kCount) tinyrun::chosen.store(&tinyrun::kLoops[processor]);
}
