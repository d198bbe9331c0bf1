// The functions that Rust calls: pointers to tensors in, new tensors out, which the caller owns; null or 0 after a
// failure, whose message `tinyrun_native_error` returns.

#include "autograd.h"
#include "dropout_mask.h"
#include "optimizer_step.h"
#include "product.h"

#include "ffi.h"

#include <string>

namespace {

thread_local std::string error;

// A new tensor; null after a failure.
template <typename Make>
at::Tensor* made(Make make) {
  at::Tensor* tensor = nullptr;
  tinyrun::succeeds([&] { tensor = new at::Tensor(make()); });
  return tensor;
}

// An argument that may be null.
at::Tensor or_none(const char* name, const at::Tensor* tensor) {
  if (tensor == nullptr) return at::Tensor();
  if (!tensor->defined()) tinyrun::refuse(name, "a tensor or null", tinyrun::describe(*tensor));
  return *tensor;
}

// `count` layers: packed, weights, biases.
tinyrun::variable_list parts(const at::Tensor* packed, const at::Tensor* const* weights,
                             const at::Tensor* const* biases, int64_t count) {
  tinyrun::variable_list all{or_none("packed weight", packed)};
  for (int64_t i = 0; i < count; ++i) all.push_back(packed == nullptr ? *weights[i] : at::Tensor());
  for (int64_t i = 0; i < count; ++i) all.push_back(*biases[i]);
  return all;
}

}  // namespace

void tinyrun::set_error(const char* message) { error = message; }

extern "C" {

const char* tinyrun_native_error() { return error.c_str(); }

// Whether libtorch multiplies tiles of this format on this processor.
int tinyrun_native_works(int half) {
  float found = 0.0f;
  return tinyrun::succeeds([&] {
           const float ones[4] = {1.0f, 1.0f, 1.0f, 1.0f};
           const tinyrun::bf16 one{0x3f80}, halves[2 * tinyrun::kPanel] = {one, one};
           float wide[2 * tinyrun::kPanel] = {1.0f};
           wide[tinyrun::kPanel] = 1.0f;
           if (half != 0)
             tinyrun::tile(1, 1, 2, halves, 2, halves, &found, 1, false);
           else
             tinyrun::tile(1, 1, 2, ones, 2, wide, &found, 1, false);
           tinyrun::release<tinyrun::bf16>();
         }) != 0 &&
         found == 2.0f;
}

at::Tensor* tinyrun_native_pack(const at::Tensor* weight, int half) {
  return made([&] { return tinyrun::pack(*weight, half != 0); });
}

at::Tensor* tinyrun_native_embeddings(const at::Tensor* words, const at::Tensor* ids, int64_t pad,
                                      const at::Tensor* types, const at::Tensor* type_ids, const at::Tensor* positions,
                                      const at::Tensor* position_ids, const at::Tensor* gamma, const at::Tensor* beta,
                                      double eps, const tinyrun::Dropout* dropout, int half) {
  return made([&] {
    return tinyrun::embeddings(*words, *ids, pad, *types, *type_ids, *positions, *position_ids, *gamma, *beta, eps,
                               *dropout, half != 0);
  });
}

at::Tensor* tinyrun_native_linear(const at::Tensor* x, int act, const at::Tensor* packed,
                                  const at::Tensor* const* weights, const at::Tensor* const* biases, int64_t count) {
  return made([&] {
    return tinyrun::linear(*x, static_cast<tinyrun::Activation>(act), parts(packed, weights, biases, count));
  });
}

at::Tensor* tinyrun_native_linear_norm(const at::Tensor* x, const at::Tensor* residual, const at::Tensor* gamma,
                                       const at::Tensor* beta, double eps, const tinyrun::Dropout* dropout,
                                       const at::Tensor* packed, const at::Tensor* weight, const at::Tensor* bias) {
  return made([&] {
    return tinyrun::linear_norm(*x, *residual, *gamma, *beta, eps, *dropout,
                                parts(packed, &weight, &bias, 1));
  });
}

at::Tensor* tinyrun_native_squared_error(const at::Tensor* x, const at::Tensor* target, const at::Tensor* weight,
                                         const at::Tensor* bias) {
  return made([&] { return tinyrun::squared_error(*x, *target, parts(nullptr, &weight, &bias, 1)); });
}

// Fills `found` with the context, the sum of squares and the scores.
int tinyrun_native_attention(const at::Tensor* q, const at::Tensor* kv, const at::Tensor* offsets, int64_t heads,
                             const tinyrun::Dropout* dropout, const at::Tensor* teacher, const at::Tensor* bias,
                             int scores, at::Tensor** found) {
  return tinyrun::succeeds([&] {
    tinyrun::Attended all = tinyrun::attention(or_none("query", q), *kv, *offsets, heads, *dropout,
                                               or_none("teacher's scores", teacher), or_none("bias", bias), scores != 0);
    found[0] = new at::Tensor(std::move(all.context));
    found[1] = new at::Tensor(std::move(all.squares));
    found[2] = new at::Tensor(std::move(all.scores));
  });
}

// `weights` of queries, keys and values.
at::Tensor* tinyrun_native_relations(const at::Tensor* student, const at::Tensor* teacher, const at::Tensor* offsets,
                                     int64_t heads, const double* weights) {
  return made([&] {
    return tinyrun::relations(*student, *teacher, *offsets, heads, {weights[0], weights[1], weights[2]});
  });
}

int tinyrun_squared_sum(const at::Tensor* gradient, double* sum) {
  return tinyrun::succeeds([&] { *sum = tinyrun::squared_sum(*gradient); });
}

int tinyrun_adam(const at::Tensor* parameter, const at::Tensor* gradient, const at::Tensor* first_moment,
                 const at::Tensor* second_moment, const tinyrun::SparseRows* rows, int corrects_bias,
                 const tinyrun::AdamStep* step) {
  return tinyrun::succeeds(
      [&] { tinyrun::adam(*parameter, *gradient, *first_moment, *second_moment, rows, corrects_bias != 0, *step); });
}

int tinyrun_dropout_mask(const at::Tensor* mask, uint64_t place, uint64_t key, uint32_t dropped, uint32_t kept) {
  return tinyrun::succeeds([&] { tinyrun::dropout_mask(*mask, place, key, dropped, kept); });
}

}  // extern "C"
