// Sums over ranks on GPUs, by libtorch's c10d with NCCL. A library of its own without code of libtorch: the kernel loads
// it (ranks/nccl.rs) once libtorch's CUDA part is loaded. Compiled where CUDA's and NCCL's headers are (build/nccl.rs).

#define USE_C10D_NCCL

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace {

// A message in one line: NCCL's own reason follows in later ones, and libtorch appends its C++ stack.
std::string message(const std::exception& e) {
  std::istringstream lines(e.what());
  std::string all;
  for (std::string line; std::getline(lines, line) && line.rfind("Exception raised from", 0) != 0;) {
    if (!all.empty()) all += ' ';
    all += line;
  }
  return all;
}

// How long Gloo's error, which names the rank that is late, has to come before NCCL aborts the process.
constexpr auto kLater = std::chrono::minutes(1);

}  // namespace

extern "C" {

// Writes the name of a GPU that no other has, on any machine: 1, or 0 after a failure, whose message is written instead.
int tinyrun_nccl_gpu(int device, char* text, size_t room) {
  try {
    const auto& uuid = at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(device))->uuid;
    std::string name;
    for (const char byte : uuid.bytes) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
      name += digits;
    }
    std::snprintf(text, room, "%s", name.c_str());
    return 1;
  } catch (const std::exception& e) {
    std::snprintf(text, room, "%s", message(e).c_str());
    return 0;
  }
}

// Connects the GPUs of all ranks, each a different one, and adds a number over them. `connecting` and `milliseconds` are
// how long that and a later sum may take. The caller owns what is returned; null after a failure, with `error`.
c10d::Backend* tinyrun_nccl_open(const c10::intrusive_ptr<c10d::Store>* store, int rank, int size, int device,
                                 int64_t connecting, int64_t milliseconds, std::string* error) {
  try {
    // One order of additions for every size of a bucket: a run is to have the bytes of the one before.
    setenv("NCCL_ALGO", "Ring", 0);
    setenv("NCCL_PROTO", "Simple", 0);
    // What it prints with NCCL_DEBUG is there even where this process is ended at once.
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    // Its notice of an error stays in a launcher's store, and would end the ranks of a later stage.
    setenv("TORCH_NCCL_DUMP_ON_TIMEOUT", "0", 0);
    const auto index = static_cast<c10::DeviceIndex>(device);
    const c10::cuda::CUDAGuard guard(index);
    const auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(connecting);
    const auto own = c10::make_intrusive<c10d::PrefixStore>("nccl", *store);
    auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(own, rank, size, options);
    // NCCL connects in the first sum.
    std::vector<at::Tensor> one{at::ones({1}, at::TensorOptions().device(at::kCUDA, index))};
    group->allreduce(one)->wait();
    const float sum = one[0].item<float>();
    TORCH_CHECK(sum == static_cast<float>(size), "NCCL adds ", size, " ones to ", sum);
    group->setTimeout(std::chrono::milliseconds(milliseconds) + kLater);
    return group.release();
  } catch (const std::exception& e) {
    *error = message(e);
    return nullptr;
  }
}

}  // extern "C"
