// For tests only: the masks that the loops draw at a place, which no tensor of a test is large enough to reach. Nothing
// but the tests of dropout.rs refers to it, so that the linker leaves it out of the program.

#include "ffi.h"
#include "product.h"

#include <cstring>
#include <string>
#include <vector>

namespace tinyrun {
namespace {

float single(float x) { return x; }
float single(bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float found;
  std::memcpy(&found, &bits, sizeof(found));
  return found;
}
template <typename T>
T number(float x) {
  if constexpr (sizeof(T) == 4) {
    return x;
  } else {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return {static_cast<uint16_t>(bits >> 16)};
  }
}

// One row of `n` elements whose first is at `place`, so filled that each result is 0 where its element is dropped.
template <typename T>
void draw(const std::string& loop, int64_t n, uint64_t place, Dropout dropout, bool* dropped) {
  const auto& loops = kernels<T>();
  const std::vector<T> ones(n, number<T>(1.0f)), zeros(n, number<T>(0.0f));
  const std::vector<float> one(n, 1.0f), zero(n, 0.0f);
  std::vector<T> out(n), other(n);
  std::vector<float> sums(n, 1.0f), more(n);
  float mean = 0.0f, rstd = 1.0f;
  if (loop == "drop") {
    loops.drop(ones.data(), n, dropout, place, out.data());
  } else if (loop == "embed") {
    loops.embed(zero.data(), zero.data(), zero.data(), n, zero.data(), one.data(), 1e-12f, dropout, place, other.data(),
                &mean, &rstd, out.data());
  } else if (loop == "norm") {
    loops.norm(sums.data(), n, 1, n, zero.data(), zeros.data(), one.data(), zero.data(), 1e-12f, dropout, place,
               out.data(), &mean, &rstd, other.data());
  } else if (loop == "norm backward") {
    // Gradients of an alternating sign, which their mean does not cancel.
    std::vector<T> slopes(n);
    for (int64_t i = 0; i < n; ++i) slopes[i] = number<T>(i % 2 == 0 ? 1.0f : -1.0f);
    loops.norm_backward(slopes.data(), zeros.data(), &mean, &rstd, one.data(), 1, n, dropout, place, other.data(),
                        out.data(), sums.data(), more.data());
  } else {
    // One query that finds all keys alike; the value of key j is column j.
    std::vector<T> values(n * n, number<T>(0.0f)), queries(n);
    for (int64_t i = 0; i < n; ++i) values[i * n + i] = number<T>(1.0f);
    const std::vector<T> keys(n * n, number<T>(0.0f));
    const Head<T> head{n, 1, n, queries.data(), keys.data(), values.data(), n, n, 1.0f, dropout, place, nullptr};
    const int64_t floats = loops.attention_scratch(n, n);
    std::vector<float> memory(floats);
    const Scratch scratch{memory.data(), floats};
    float logsum = 0.0f;
    loops.attention(head, scratch, out.data(), n, &logsum, nullptr);
    if (loop == "attention backward") {
      // The gradient of the context is 1: a value's gradient is its probability after dropout.
      std::vector<T> dkeys(n * n), dvalues(n * n);
      loops.attention_backward(head, scratch, ones.data(), n, &logsum, 0.0f, other.data(), dkeys.data(), dvalues.data(),
                               n, n);
      for (int64_t i = 0; i < n; ++i) out[i] = dvalues[i * n];
    } else if (loop == "too little scratch") {
      loops.attention(head, {memory.data(), floats / 4}, out.data(), n, &logsum, nullptr);
    }
  }
  for (int64_t i = 0; i < n; ++i) dropped[i] = single(out[i]) == 0.0f;
}

}  // namespace

// Throws as the loop does.
void probe(const std::string& loop, bool half, int64_t n, uint64_t place, Dropout dropout, bool* dropped) {
  if (half)
    draw<bf16>(loop, n, place, dropout, dropped);
  else
    draw<float>(loop, n, place, dropout, dropped);
}

}  // namespace tinyrun

extern "C" int tinyrun_probe_dropout(const char* loop, int half, int64_t n, uint64_t place, uint64_t key,
                                     uint32_t dropped, float kept, bool* found) {
  return tinyrun::succeeds([&] { tinyrun::probe(loop, half != 0, n, place, {key, 0, dropped, kept}, found); });
}
