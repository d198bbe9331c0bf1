// The loops behind kernels.h. build.rs compiles this file once for each kind of processor, in a namespace
// TINYRUN_PROCESSOR of its own; nothing in it may be visible to, or shared with, another of them. Those of bf16 are
// made for processors that multiply in it: elsewhere models in bf16 are computed by libtorch.

#include "kernels.h"

#include <cmath>
#if defined(__AVX512BF16__)
#if defined(__clang__)
#include <immintrin.h>
#else
// gcc 12 takes what it leaves undefined on purpose in there for a mistake of ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
#endif

#include "dropout.inc"
#include "elements.inc"

namespace tinyrun {
namespace TINYRUN_PROCESSOR {
namespace {

// In this order: the later ones call the earlier.
#include "rows.inc"

#include "panels.inc"

#include "attention.inc"

#include "relation.inc"

#if defined(__AVX512BF16__)
#include "attention_half.inc"
#endif

template <typename T>
constexpr Kernels<T> table() {
  return {activate<T>,
          activate_backward<T>,
          norm<T>,
          norm_backward<T>,
          embed<T>,
          drop<T>,
          add<T>,
          difference<T>,
          store<T>,
          column_sums<T>,
          panel_of_rows,
          panel_of_columns,
          panel_of_activations,
          transpose<T>,
          attention_scratch,
          attention<T>,
          attention_backward<T>,
          relation_scratch,
          relation<T>};
}

#if defined(__AVX512BF16__)
constexpr Kernels<bf16> half_table() {
  Kernels<bf16> all = table<bf16>();
  all.attention_scratch = half_attention_scratch;
  all.attention = half_attention;
  all.attention_backward = half_attention_backward;
  return all;
}
#endif

}  // namespace

extern const Kernels<float> kFloat;
const Kernels<float> kFloat = table<float>();
#if defined(__AVX512BF16__)
extern const Kernels<bf16> kHalf;
const Kernels<bf16> kHalf = half_table();
#endif

}  // namespace TINYRUN_PROCESSOR
}  // namespace tinyrun
