// Self-attention over a packed batch: the sequences of a batch, and the loops over their heads.

#include "autograd.h"
#include "product.h"

#include <ATen/ops/full.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <string>

namespace tinyrun {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// The tensors of a batch, and where the sequences and heads are in them.
template <typename T>
struct Batch {
  bool first;  // queries of first tokens alone
  int64_t heads, sequences, ldkv, model, width, ldq, longest = 0;
  Checked<T> kv, query_rows, target;
  Checked<float> biases;  // [heads, 2 n - 1]
  Checked<int32_t> bounds;
  const int32_t* offsets;
  std::vector<int64_t> places;  // of each sequence's scores
  const T *q, *k, *v, *teacher;
  Dropout dropout;

  Batch(bool first, const at::Tensor& query, const at::Tensor& rows, const at::Tensor& begins, int64_t heads,
        Dropout dropout, const at::Tensor& scores, const at::Tensor& bias)
      : first(first), heads(heads), dropout(dropout) {
    const char* name = first ? "kv" : "qkv";
    kv = Checked<T>(name, rows, {kAny, kAny});
    const int64_t parts = first ? 2 : 3;
    ldkv = kv.size(1);
    if (heads < 1 || ldkv == 0 || ldkv % (parts * heads) != 0)
      refuse(name, "of " + std::to_string(parts) + " parts of " + std::to_string(heads) + " heads", describe(rows));
    model = ldkv / parts;
    width = model / heads;
    bounds = Checked<int32_t>("offsets", begins, {kAny});
    offsets = bounds.data();
    sequences = bounds.numel() - 1;
    place_sequences();
    if (first) query_rows = Checked<T>("query", query, {sequences, model});
    if (is_there(scores)) target = Checked<T>("teacher's scores", scores, {places.back()});
    if (is_there(bias)) {
      biases = Checked<float>("bias", bias, {heads, kAny});
      if (biases.size(1) % 2 == 0 || biases.size(1) < 2 * longest - 1)
        refuse("bias", "of an odd number of distances, at least " + std::to_string(2 * longest - 1), describe(bias));
    }
    q = first ? query_rows.data() : kv.data();
    ldq = first ? model : ldkv;
    k = first ? kv.data() : kv.data() + model;
    v = k + model;
    teacher = target.data();
  }

  // Where each sequence's scores are; the offsets must rise from 0 to the number of rows.
  void place_sequences() {
    const int64_t rows = kv.size(0);
    const auto expected = [&] { return "offsets that rise from 0 to the " + std::to_string(rows) + " rows"; };
    if (sequences < 1 || offsets[0] != 0 || offsets[sequences] != rows)
      refuse("offsets", expected(),
             sequences < 0 ? "empty" : std::to_string(offsets[0]) + " to " + std::to_string(offsets[sequences]));
    places.push_back(0);
    for (int64_t s = 0; s < sequences; ++s) {
      if (length(s) < 1 || offsets[s + 1] > rows)
        refuse("offsets", expected(), std::to_string(offsets[s + 1]) + " after " + std::to_string(offsets[s]));
      longest = std::max(longest, length(s));
      places.push_back(places.back() + heads * length(s) * length(s));
    }
  }

  int64_t length(int64_t s) const { return int64_t{offsets[s + 1]} - offsets[s]; }
  int64_t query(int64_t s) const { return first ? s : offsets[s]; }
  int64_t queries() const { return first ? sequences : offsets[sequences]; }
  // How many heads a thread takes at a time: all of a sequence, which lie side by side in its rows, where there are
  // sequences enough for every thread.
  int64_t heads_at_once() const { return sequences >= 2 * omp_get_max_threads() ? heads : 1; }
  // Of a head's biases, the one of no distance: behind the `h`th row of a table like theirs.
  template <typename U>
  U* no_distance(U* table, int64_t h) const {
    return table == nullptr ? nullptr : table + h * biases.size(1) + biases.size(1) / 2;
  }
  int64_t score(int64_t s, int64_t h) const { return places[static_cast<size_t>(s)] + h * length(s) * length(s); }

  // Prefetches what the next head of this thread reads of a token, and the first one's here.
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
            dropout.begin + static_cast<uint64_t>(score(s, h)),
            teacher == nullptr ? nullptr : teacher + score(s, h),
            no_distance<const float>(biases.data(), h),
            nullptr};
  }

  // Calls work(sequence, head's number, head, scratch) for every head on all threads. What a head will read of
  // `dcontext`, where there is one, is prefetched too.
  template <typename Work>
  void each_head(const T* dcontext, Work work) const {
    const int64_t at_once = heads_at_once();
    const auto& loops = kernels<T>();
    Failure failure;
#pragma omp parallel for schedule(dynamic, at_once)
    for (int64_t i = 0; i < sequences * heads; ++i)
      failure.guard([&] {
        const int64_t s = i / heads, h = i % heads;
        fetch_next(s, h, dcontext);
        work(s, h, head(s, h), scratch(loops.attention_scratch(length(s), width)));
      });
    failure.rethrow();
  }
};

template <typename T>
struct Attention : Function<Attention<T>> {
  static variable_list forward(AutogradContext* context, bool first, const at::Tensor& q, const at::Tensor& kv,
                               const at::Tensor& offsets, int64_t heads, Dropout dropout, const at::Tensor& teacher,
                               const at::Tensor& bias, bool wants_scores) {
    context->set_materialize_grads(false);
    const Batch<T> batch(first, q, kv, offsets, heads, dropout, teacher, bias);
    const auto& loops = kernels<T>();
    const int64_t model = batch.model;
    const auto out = Checked<T>::empty({batch.queries(), model});
    const auto sums = Checked<float>::empty({batch.queries() * heads});
    const auto scores = Checked<T>::empty({wants_scores ? batch.places.back() : 0});
    std::vector<double> squares(static_cast<size_t>(batch.sequences * heads), 0.0);
    batch.each_head(nullptr, [&](int64_t s, int64_t h, const Head<T>& head, Scratch memory) {
      squares[static_cast<size_t>(s * heads + h)] =
          loops.attention(head, memory, out.data() + batch.query(s) * model + h * head.width, model,
                          sums.data() + batch.query(s) * heads + h * head.queries,
                          wants_scores ? scores.data() + batch.score(s, h) : nullptr);
    });
    double sum = 0.0;
    for (const double part : squares) sum += part;
    context->save_for_backward({q, kv, offsets, sums.tensor(), teacher, bias});
    context->saved_data["trains bias"] = is_there(bias) && bias.requires_grad();
    context->saved_data["first"] = first;
    context->saved_data["heads"] = heads;
    save(context, dropout);
    context->mark_non_differentiable({scores.tensor()});
    return {out.tensor(), at::full({}, sum, at::TensorOptions(at::kFloat)), scores.tensor()};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const bool first = context->saved_data["first"].toBool();
    const int64_t heads = context->saved_data["heads"].toInt();
    const Dropout dropout = saved_dropout(context);
    // Without a gradient of the sum of squares the teacher does not matter.
    const bool learns = gradients[1].defined() && is_there(saved[4]);
    const at::Tensor none;
    if (!gradients[0].defined() && !learns) return {none, none, none, none, none, none, none, none, none};
    const Batch<T> batch(first, saved[0], saved[1], saved[2], heads, dropout, learns ? saved[4] : none, saved[5]);
    const auto& loops = kernels<T>();
    const int64_t model = batch.model;
    const Checked<float> sums("sums", saved[3], {batch.queries() * heads});
    const float dsquares = learns ? gradients[1].item<float>() : 0.0f;
    const auto dout = gradients[0].defined()
                          ? Checked<T>("gradient", gradients[0].contiguous(), {batch.queries(), model})
                          : Checked<T>();
    const auto dkv = Checked<T>::empty({batch.kv.size(0), batch.ldkv});
    const auto dq = first ? Checked<T>::empty({batch.sequences, model}) : Checked<T>();
    // Of each sequence by itself, so that they are summed in one order whatever the number of threads.
    const bool trains_bias = context->saved_data["trains bias"].toBool();
    const auto dbias =
        trains_bias ? Checked<float>("bias's gradient",
                                     at::zeros({batch.sequences, heads, batch.biases.size(1)}, at::TensorOptions(at::kFloat)),
                                     {batch.sequences, heads, batch.biases.size(1)})
                    : Checked<float>();
    T* const queries = first ? dq.data() : dkv.data();
    T* const keys = first ? dkv.data() : dkv.data() + model;
    const T* const dcontext = dout.data();
    batch.each_head(dcontext, [&](int64_t s, int64_t h, Head<T> head, Scratch memory) {
      head.dbias = batch.no_distance(dbias.data(), s * heads + h);
      const int64_t column = h * head.width, row = batch.offsets[s] * batch.ldkv + column;
      loops.attention_backward(head, memory, dcontext == nullptr ? nullptr : dcontext + batch.query(s) * model + column,
                               model, sums.data() + batch.query(s) * heads + h * head.queries, dsquares,
                               queries + batch.query(s) * batch.ldq + column, keys + row, keys + model + row, batch.ldq,
                               batch.ldkv);
    });
    const at::Tensor of_bias = trains_bias ? dbias.tensor().sum(0) : none;
    return {none, dq.tensor(), dkv.tensor(), none, none, none, none, of_bias, none};
  }
};

}  // namespace

Attended attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& offsets, int64_t heads, Dropout dropout,
                   const at::Tensor& teacher, const at::Tensor& bias, bool scores) {
  const variable_list found = by_format(q.defined() ? "kv" : "qkv", kv, [&](auto zero) {
    return Attention<decltype(zero)>::apply(q.defined(), given(q), kv, given(offsets), heads, dropout, given(teacher),
                                            given(bias), scores);
  });
  return {found[0], found[1], found[2]};
}

}  // namespace tinyrun
