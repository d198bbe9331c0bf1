// The loops behind kernels.h. build.rs compiles this file once for each kind of processor, in a namespace
// TINYRUN_PROCESSOR of its own; nothing in it may be visible to, or shared with, another of them.

#include "kernels.h"

#include <cmath>

#include "elements.inc"

namespace tinyrun {
namespace TINYRUN_PROCESSOR {
namespace {

// In this order: the later ones call the earlier.
#include "rows.inc"

#include "panels.inc"

#include "attention.inc"

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
          attention_backward<T>};
}

}  // namespace

extern const Kernels<float> kFloat;
extern const Kernels<bf16> kHalf;
const Kernels<float> kFloat = table<float>();
const Kernels<bf16> kHalf = table<bf16>();

}  // namespace TINYRUN_PROCESSOR
}  // namespace tinyrun
