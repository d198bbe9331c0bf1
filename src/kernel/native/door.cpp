// What Rust calls: pointers to tensors in, new tensors out, which the caller owns; null where something went wrong,
// whose words `tinyrun_native_error` then has.

#include "nodes.h"
#include "product.h"

#include <exception>
#include <string>

namespace {

thread_local std::string error;

template <typename Make>
at::Tensor* guarded(Make make) {
  try {
    return new at::Tensor(make());
  } catch (const std::exception& e) {
    error = e.what();
  }
  return nullptr;
}

at::Tensor or_none(const at::Tensor* tensor) { return tensor == nullptr ? at::Tensor() : *tensor; }

// `count` layers: packed, weights, biases.
tinyrun::variable_list parts(const at::Tensor* packed, const at::Tensor* const* weights,
                             const at::Tensor* const* biases, int64_t count) {
  tinyrun::variable_list all{or_none(packed)};
  for (int64_t i = 0; i < count; ++i) all.push_back(packed == nullptr ? *weights[i] : at::Tensor());
  for (int64_t i = 0; i < count; ++i) all.push_back(*biases[i]);
  return all;
}

}  // namespace

extern "C" {

const char* tinyrun_native_error() { return error.c_str(); }

// Whether libtorch multiplies tiles of this format on this processor.
int tinyrun_native_works(int half) {
  try {
    const float ones[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    const tinyrun::bf16 one{0x3f80}, halves[2 * tinyrun::kPanel] = {one, one};
    float wide[2 * tinyrun::kPanel] = {1.0f}, found = 0.0f;
    wide[tinyrun::kPanel] = 1.0f;
    if (half != 0)
      tinyrun::tile(1, 1, 2, halves, 2, halves, &found, 1, false);
    else
      tinyrun::tile(1, 1, 2, ones, 2, wide, &found, 1, false);
    tinyrun::release<tinyrun::bf16>();
    return found == 2.0f ? 1 : 0;
  } catch (const std::exception&) {
    return 0;
  }
}

at::Tensor* tinyrun_native_pack(const at::Tensor* weight, int half) {
  return guarded([&] { return tinyrun::pack(*weight, half != 0 ? at::kBFloat16 : at::kFloat); });
}

at::Tensor* tinyrun_native_embeddings(const at::Tensor* words, const at::Tensor* ids, int64_t pad,
                                      const at::Tensor* types, const at::Tensor* type_ids, const at::Tensor* positions,
                                      const at::Tensor* position_ids, const at::Tensor* gamma, const at::Tensor* beta,
                                      double eps, uint64_t key, uint32_t dropped, float kept, int half) {
  return guarded([&] {
    return tinyrun::embeddings(*words, *ids, pad, *types, *type_ids, *positions, *position_ids, *gamma, *beta, eps,
                               {key, dropped, kept}, half != 0);
  });
}

at::Tensor* tinyrun_native_linear(const at::Tensor* x, int act, const at::Tensor* packed,
                                  const at::Tensor* const* weights, const at::Tensor* const* biases, int64_t count) {
  return guarded([&] {
    return tinyrun::linear(*x, static_cast<tinyrun::Activation>(act), parts(packed, weights, biases, count));
  });
}

at::Tensor* tinyrun_native_linear_norm(const at::Tensor* x, const at::Tensor* residual, const at::Tensor* gamma,
                                       const at::Tensor* beta, double eps, uint64_t key, uint32_t dropped, float kept,
                                       const at::Tensor* packed, const at::Tensor* weight, const at::Tensor* bias) {
  return guarded([&] {
    return tinyrun::linear_norm(*x, *residual, *gamma, *beta, eps, {key, dropped, kept},
                                parts(packed, &weight, &bias, 1));
  });
}

at::Tensor* tinyrun_native_squares(const at::Tensor* x, const at::Tensor* target, const at::Tensor* weight,
                                   const at::Tensor* bias) {
  return guarded([&] { return tinyrun::squares(*x, *target, parts(nullptr, &weight, &bias, 1)); });
}

// Fills `found` with the context, the sum of squares and the scores, and returns whether it went well.
int tinyrun_native_attention(const at::Tensor* q, const at::Tensor* kv, const at::Tensor* offsets, int64_t heads,
                             uint64_t key, uint32_t dropped, float kept, const at::Tensor* teacher, int scores,
                             at::Tensor** found) {
  try {
    tinyrun::Attended all =
        tinyrun::attention(or_none(q), *kv, *offsets, heads, {key, dropped, kept}, or_none(teacher), scores != 0);
    found[0] = new at::Tensor(std::move(all.context));
    found[1] = new at::Tensor(std::move(all.squares));
    found[2] = new at::Tensor(std::move(all.scores));
    return 1;
  } catch (const std::exception& e) {
    error = e.what();
  }
  return 0;
}

}  // extern "C"
