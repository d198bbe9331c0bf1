// One training on several processes: what they tell each other, and sums over them, by libtorch's c10d with Gloo. The
// functions that Rust calls: null, 0 or -1 after a failure, whose message `tinyrun_native_error` returns.

#include "ffi.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <torch/version.h>

#if __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#define TINYRUN_RANKS
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 11, "gloo_names declares what this version's header names");
#endif

#ifdef TINYRUN_RANKS

namespace {

using Store = c10::intrusive_ptr<c10d::Store>;

struct Meeting {
  c10::intrusive_ptr<c10d::TCPStore> server;
  Store store;
};

// `tinyrun_nccl_open` of nccl.cpp.
using OpenNccl = c10d::Backend* (*)(const Store*, int, int, int, int64_t, int64_t, std::string*);

// What a thread that opens NCCL has come to. NCCL waits for other ranks without a limit, so nobody waits for the thread.
struct Opening {
  std::mutex lock;
  std::condition_variable changed;
  bool is_over = false;
  c10d::Backend* backend = nullptr;
  std::string error;
};

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  // What adds tensors on GPUs, if anything does.
  c10::intrusive_ptr<c10d::Backend> nccl;
};

struct Sum {
  c10::intrusive_ptr<c10d::Work> work;
};

}  // namespace

extern "C" {

int tinyrun_ranks_are_there() { return 1; }

// The store of rank 0, which serves it on the socket `listening`, or where that is negative a connection to it. Keys
// begin with `run`.
Meeting* tinyrun_meeting_open(const char* host, uint16_t port, int listening, const char* run, int64_t milliseconds) {
  Meeting* meeting = nullptr;
  tinyrun::succeeds([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = listening >= 0;
    // A socket of its own would listen to every machine.
    if (listening >= 0) options.masterListenFd = listening;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(milliseconds);
    auto server = c10::make_intrusive<c10d::TCPStore>(host, options);
    meeting = new Meeting{server, c10::make_intrusive<c10d::PrefixStore>(run, server)};
  });
  return meeting;
}

int tinyrun_meeting_set(const Meeting* meeting, const char* key, const char* value) {
  return tinyrun::succeeds([&] { meeting->store->set(key, std::string(value)); });
}

// Waits for a value of this key, or only looks for one where there is no time; whether there is one then, -1 after a
// failure.
int tinyrun_meeting_wait(const Meeting* meeting, const char* key, int64_t milliseconds) {
  // That the time is up is thrown too.
  if (milliseconds > 0) {
    tinyrun::succeeds([&] { meeting->store->wait({key}, std::chrono::milliseconds(milliseconds)); });
  }
  bool found = false;
  return tinyrun::succeeds([&] { found = meeting->store->check({key}); }) == 0 ? -1 : static_cast<int>(found);
}

// The value of a key, until the thread's next call.
const char* tinyrun_meeting_get(const Meeting* meeting, const char* key) {
  thread_local std::string value;
  const int well = tinyrun::succeeds([&] {
    const auto bytes = meeting->store->get(key);
    value.assign(bytes.begin(), bytes.end());
  });
  return well == 0 ? nullptr : value.c_str();
}

// A number that all count up, afterwards; -1 after a failure.
int64_t tinyrun_meeting_count(const Meeting* meeting, const char* key) {
  int64_t count = -1;
  tinyrun::succeeds([&] { count = meeting->store->add(key, 1); });
  return count;
}

void tinyrun_meeting_close(Meeting* meeting) {
  tinyrun::succeeds([&] { delete meeting; });
}

// Connects every rank with every other, by the interface of `host`. `connecting` and `milliseconds` are how long that
// and a sum may take.
Group* tinyrun_group_open(const Meeting* meeting, int rank, int size, const char* host, int64_t connecting,
                          int64_t milliseconds) {
  Group* group = nullptr;
  tinyrun::succeeds([&] {
    const auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(connecting));
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(host));
    group = new Group{c10::make_intrusive<c10d::ProcessGroupGloo>(meeting->store, rank, size, options), {}};
    group->gloo->setTimeout(std::chrono::milliseconds(milliseconds));
  });
  return group;
}

// Adds tensors of the GPU `device` by NCCL from now on. `connecting` and `milliseconds` as above.
int tinyrun_group_use_nccl(Group* group, const Meeting* meeting, void* open, int rank, int size, int device,
                           int64_t connecting, int64_t milliseconds) {
  return tinyrun::succeeds([&] {
    const auto opening = std::make_shared<Opening>();
    std::thread([=, store = meeting->store] {
      std::string error;
      auto* const backend =
          reinterpret_cast<OpenNccl>(open)(&store, rank, size, device, connecting, milliseconds, &error);
      const std::lock_guard<std::mutex> held(opening->lock);
      opening->backend = backend;
      opening->error = error;
      opening->is_over = true;
      opening->changed.notify_all();
    }).detach();
    std::unique_lock<std::mutex> held(opening->lock);
    const auto limit = std::chrono::milliseconds(connecting);
    if (!opening->changed.wait_for(held, limit, [&] { return opening->is_over; })) {
      throw std::runtime_error("no answer within " + std::to_string(connecting / 1000) + " s");
    }
    if (opening->backend == nullptr) throw std::runtime_error(opening->error);
    group->nccl = c10::intrusive_ptr<c10d::Backend>::reclaim(opening->backend);
  });
}

// Begins to replace a tensor by its sum over all ranks, in an order that depends on their number and its size alone.
// Ranks begin their sums in one order.
Sum* tinyrun_group_begin_sum(const Group* group, const at::Tensor* tensor) {
  Sum* sum = nullptr;
  tinyrun::succeeds([&] {
    std::vector<at::Tensor> tensors{*tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::SUM;
    if (tensor->is_cuda()) {
      if (!group->nccl) throw std::runtime_error("a sum on a GPU without NCCL");
      sum = new Sum{group->nccl->allreduce(tensors, options)};
    } else {
      sum = new Sum{group->gloo->allreduce(tensors, options)};
    }
  });
  return sum;
}

// Waits for a sum; what is computed on a GPU later waits for one there.
int tinyrun_sum_wait(const Sum* sum) {
  return tinyrun::succeeds([&] { sum->work->wait(); });
}

void tinyrun_sum_close(Sum* sum) {
  tinyrun::succeeds([&] { delete sum; });
}

// Sends a tensor to another rank and receives one of its size.
int tinyrun_group_exchange(const Group* group, const at::Tensor* own, const at::Tensor* other, int peer) {
  return tinyrun::succeeds([&] {
    std::vector<at::Tensor> out{*own}, in{*other};
    const auto sent = group->gloo->send(out, peer, 0);
    const auto received = group->gloo->recv(in, peer, 0);
    sent->wait();
    received->wait();
  });
}

void tinyrun_group_close(Group* group) {
  tinyrun::succeeds([&] {
    if (group->nccl) group->nccl->shutdown();
  });
  tinyrun::succeeds([&] { delete group; });
}

}  // extern "C"

#else

// Headers without c10d: one rank only.
namespace {
constexpr const char* kNone = "libtorch's headers had no c10d";
}

extern "C" {

int tinyrun_ranks_are_there() { return 0; }

void* tinyrun_meeting_open(const char*, uint16_t, int, const char*, int64_t) {
  tinyrun::set_error(kNone);
  return nullptr;
}
int tinyrun_meeting_set(const void*, const char*, const char*) { return 0; }
int tinyrun_meeting_wait(const void*, const char*, int64_t) { return -1; }
const char* tinyrun_meeting_get(const void*, const char*) { return nullptr; }
int64_t tinyrun_meeting_count(const void*, const char*) { return -1; }
void tinyrun_meeting_close(void*) {}
void* tinyrun_group_open(const void*, int, int, const char*, int64_t, int64_t) { return nullptr; }
int tinyrun_group_use_nccl(void*, const void*, void*, int, int, int, int64_t, int64_t) { return 0; }
void* tinyrun_group_begin_sum(const void*, const void*) { return nullptr; }
int tinyrun_sum_wait(const void*) { return 0; }
void tinyrun_sum_close(void*) {}
int tinyrun_group_exchange(const void*, const void*, const void*, int) { return 0; }
void tinyrun_group_close(void*) {}

}  // extern "C"

#endif
