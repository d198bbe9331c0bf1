// Masks of dropout, drawn by place.
//
// libtorch draws a mask number by number from one generator, on one thread; here a number is a hash
// of the mask's key and the element's index, so that all threads draw at once and the mask does not depend
// on how many they are.

#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PER_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PER_PROCESSOR
#endif

namespace {

constexpr int64_t kBlock = 16384;

// Two rounds of Wellons' lowbias32, each with a half of the key.
inline uint32_t hash(uint32_t x, uint32_t key1, uint32_t key2) {
  x ^= key1;
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  x ^= x >> 16;
  x ^= key2;
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  x ^= x >> 16;
  return x;
}

PER_PROCESSOR void mask16(uint16_t* out, int64_t n, uint32_t from, uint32_t key1, uint32_t key2, uint32_t dropped,
                          uint16_t kept) {
  for (int64_t i = 0; i < n; ++i) out[i] = hash(from + static_cast<uint32_t>(i), key1, key2) < dropped ? 0 : kept;
}

PER_PROCESSOR void mask32(uint32_t* out, int64_t n, uint32_t from, uint32_t key1, uint32_t key2, uint32_t dropped,
                          uint32_t kept) {
  for (int64_t i = 0; i < n; ++i) out[i] = hash(from + static_cast<uint32_t>(i), key1, key2) < dropped ? 0 : kept;
}

template <typename T, typename Fill>
void blocks(T* out, int64_t n, uint64_t key, uint32_t dropped, T kept, Fill fill) {
  const int64_t count = (n + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static) if (count > 1)
  for (int64_t b = 0; b < count; ++b) {
    const int64_t from = b * kBlock;
    fill(out + from, n - from < kBlock ? n - from : kBlock, static_cast<uint32_t>(from), static_cast<uint32_t>(key),
         static_cast<uint32_t>(key >> 32), dropped, kept);
  }
}

}  // namespace

extern "C" {

// out[i] = 0 in dropped of 2^32 cases, else the number whose bits are `kept`; n below 2^32.
void tinyrun_mask16(uint16_t* out, int64_t n, uint64_t key, uint32_t dropped, uint16_t kept) {
  blocks(out, n, key, dropped, kept, mask16);
}

void tinyrun_mask32(uint32_t* out, int64_t n, uint64_t key, uint32_t dropped, uint32_t kept) {
  blocks(out, n, key, dropped, kept, mask32);
}

}  // extern "C"
