// How a failure reaches Rust: no exception may leave a function that Rust calls.

#pragma once

#include <exception>

namespace tinyrun {

// Keeps the message of a failure on this thread for `tinyrun_native_error`.
void set_error(const char* message);

// 1, or 0 after a failure.
template <typename Work>
int succeeds(Work work) noexcept {
  try {
    work();
    return 1;
  } catch (const std::exception& e) {
    set_error(e.what());
  } catch (...) {
    set_error("unknown exception");
  }
  return 0;
}

}  // namespace tinyrun
