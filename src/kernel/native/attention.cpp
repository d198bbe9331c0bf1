#include "nodes.h"
#include "product.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace tinyrun {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// Where everything of a batch is.
template <typename T>
struct Batch {
  int64_t heads, width, longest = 0, sequences;
  bool first;  // queries of first tokens alone
  int64_t ldq, ldkv;
  const int32_t* offsets;
  std::vector<int64_t> places;  // of each sequence's scores
  const T *q, *k, *v, *teacher;
  Dropout dropout;

  Batch(const at::Tensor& query, const at::Tensor& kv, const at::Tensor& bounds, int64_t heads, Dropout dropout,
        const at::Tensor& target)
      : heads(heads),
        sequences(bounds.numel() - 1),
        first(is_there(query)),
        offsets(data<int32_t>(bounds)),
        dropout(dropout) {
    ldkv = kv.size(1);
    const int64_t model = first ? ldkv / 2 : ldkv / 3;
    width = model / heads;
    const T* at = data<T>(kv);
    q = first ? data<T>(query) : at;
    ldq = first ? query.size(1) : ldkv;
    k = first ? at : at + model;
    v = k + model;
    teacher = is_there(target) ? data<T>(target) : nullptr;
    places.push_back(0);
    for (int64_t s = 0; s < sequences; ++s) {
      longest = std::max(longest, length(s));
      places.push_back(places.back() + heads * length(s) * length(s));
    }
  }

  int64_t length(int64_t s) const { return offsets[s + 1] - offsets[s]; }
  int64_t query(int64_t s) const { return first ? s : offsets[s]; }
  int64_t queries() const { return first ? sequences : offsets[sequences]; }
  // How many heads a thread takes at a time: all of a sequence, which lie side by side in its rows, where there are
  // sequences enough for every thread.
  int64_t heads_at_once() const { return sequences >= 2 * omp_get_max_threads() ? heads : 1; }
  int64_t score(int64_t s, int64_t h) const { return places[static_cast<size_t>(s)] + h * length(s) * length(s); }

  // Asks for what the next head of this thread reads of a token, and for that of the first one here.
  __attribute__((always_inline)) void fetch_next(int64_t s, int64_t h, const T* dcontext) const {
    if (h == 0 || heads_at_once() == 1) fetch(s, h, dcontext);
    if (h + 1 < heads && heads_at_once() > 1) fetch(s, h + 1, dcontext);
  }
  __attribute__((always_inline)) void fetch(int64_t s, int64_t h, const T* dcontext) const {
    const int64_t column = h * width, row = offsets[s], n = first ? 1 : length(s);
    fetch_rows(q + query(s) * ldq + column, ldq, n, width);
    fetch_rows(k + row * ldkv + column, ldkv, length(s), width);
    fetch_rows(v + row * ldkv + column, ldkv, length(s), width);
    if (dcontext != nullptr) fetch_rows(dcontext + query(s) * heads * width + column, heads * width, n, width);
  }

  Head<T> head(int64_t s, int64_t h) const {
    const int64_t n = length(s), column = h * width, row = offsets[s];
    return {n,
            first ? 1 : n,
            width,
            q + query(s) * ldq + column,
            k + row * ldkv + column,
            v + row * ldkv + column,
            ldq,
            ldkv,
            1.0f / std::sqrt(static_cast<float>(width)),
            dropout,
            static_cast<uint32_t>(score(s, h)),
            teacher == nullptr ? nullptr : teacher + score(s, h)};
  }

  // Calls work(sequence, head's number, head, scratch) for every head on all threads. Of `dcontext`, where there is
  // one, what a head will read is asked for too.
  template <typename Work>
  void each_head(const T* dcontext, Work work) const {
    const int64_t at_once = heads_at_once();
    Failure failure;
#pragma omp parallel for schedule(dynamic, at_once)
    for (int64_t i = 0; i < sequences * heads; ++i)
      failure.guard([&] {
        const int64_t s = i / heads, h = i % heads;
        fetch_next(s, h, dcontext);
        work(s, h, head(s, h), scratch(kernels<T>().attention_scratch(length(s), width)));
      });
    failure.rethrow();
  }
};

template <typename T>
struct Attention : Function<Attention<T>> {
  static variable_list forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& kv,
                               const at::Tensor& offsets, int64_t heads, Dropout dropout, const at::Tensor& teacher,
                               bool wants_scores) {
    context->set_materialize_grads(false);
    const Batch<T> batch(q, kv, offsets, heads, dropout, teacher);
    const auto make = [](at::IntArrayRef size, at::ScalarType kind) {
      return at::empty(size, at::TensorOptions(kind));
    };
    const int64_t model = batch.width * heads;
    const at::Tensor out = make({batch.queries(), model}, kScalar<T>);
    const at::Tensor sums = make({batch.queries() * heads}, at::kFloat);
    const at::Tensor scores = wants_scores ? make({batch.places.back()}, kScalar<T>) : make({0}, kScalar<T>);
    std::vector<double> squares(static_cast<size_t>(batch.sequences * heads), 0.0);
    batch.each_head(nullptr, [&](int64_t s, int64_t h, const Head<T>& head, float* memory) {
      squares[static_cast<size_t>(s * heads + h)] =
          kernels<T>().attention(head, memory, data<T>(out) + batch.query(s) * model + h * head.width, model,
                                 data<float>(sums) + batch.query(s) * heads + h * head.queries,
                                 wants_scores ? data<T>(scores) + batch.score(s, h) : nullptr);
    });
    double sum = 0.0;
    for (const double part : squares) sum += part;
    context->save_for_backward({q, kv, offsets, sums, teacher});
    context->saved_data["heads"] = heads;
    save(context, dropout);
    context->mark_non_differentiable({scores});
    return {out, at::full({}, sum, at::TensorOptions(at::kFloat)), scores};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &kv = saved[1], &sums = saved[3];
    const int64_t heads = context->saved_data["heads"].toInt();
    const Dropout dropout = saved_dropout(context);
    // Without a gradient of the sum of squares the teacher does not matter.
    const bool learns = gradients[1].defined() && is_there(saved[4]);
    const Batch<T> batch(q, kv, saved[2], heads, dropout, learns ? saved[4] : at::Tensor());
    const float dsquares = learns ? gradients[1].item<float>() : 0.0f;
    const at::Tensor dout = gradients[0].defined() ? gradients[0].contiguous() : at::Tensor();
    const at::Tensor none;
    if (!dout.defined() && !learns) return {none, none, none, none, none, none, none};
    const int64_t model = batch.width * heads;
    const at::Tensor dkv = at::empty_like(kv), dq = batch.first ? at::empty_like(q) : none;
    T* const to = data<T>(dkv);
    T* const queries = batch.first ? data<T>(dq) : to;
    T* const keys = batch.first ? to : to + model;
    const T* const dcontext = dout.defined() ? data<T>(dout) : nullptr;
    batch.each_head(dcontext, [&](int64_t s, int64_t h, const Head<T>& head, float* memory) {
      const int64_t column = h * head.width, row = batch.offsets[s] * batch.ldkv + column;
      kernels<T>().attention_backward(
          head, memory, dcontext == nullptr ? nullptr : dcontext + batch.query(s) * model + column, model,
          data<float>(sums) + batch.query(s) * heads + h * head.queries, dsquares,
          queries + batch.query(s) * batch.ldq + column, keys + row, keys + model + row, batch.ldq, batch.ldkv);
    });
    return {dq, dkv, none, none, none, none, none};
  }
};

}  // namespace

Attended attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& offsets, int64_t heads, Dropout dropout,
                   const at::Tensor& teacher, bool scores) {
  TORCH_CHECK(!is_there(teacher) || teacher.scalar_type() == kv.scalar_type(), "scores of the teacher are ",
              teacher.scalar_type(), ", those of the student ", kv.scalar_type());
  const variable_list found =
      kv.scalar_type() == at::kFloat
          ? Attention<float>::apply(given(q), kv, offsets, heads, dropout, given(teacher), scores)
          : Attention<bf16>::apply(given(q), kv, offsets, heads, dropout, given(teacher), scores);
  return {found[0], found[1], found[2]};
}

}  // namespace tinyrun
