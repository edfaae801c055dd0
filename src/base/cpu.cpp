#include "base/cpu.h"

#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>

namespace atelier {
namespace {

struct IsaEntry {
  Isa isa;
  std::string_view name;
};
constexpr std::array kIsas = {
    IsaEntry{Isa::kBaseline, "baseline"}, IsaEntry{Isa::kAvx2, "avx2"},
    IsaEntry{Isa::kAvx512, "avx512"},     IsaEntry{Isa::kAvx512Bf16, "avx512bf16"},
    IsaEntry{Isa::kAmx, "amx"},           IsaEntry{Isa::kDotProd, "dotprod"},
    IsaEntry{Isa::kI8mm, "i8mm"},
};

constexpr std::array kLevels = {
    Isa::kBaseline,
#if defined(__x86_64__)
    Isa::kAvx2,     Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx,
#elif defined(__aarch64__)
    Isa::kDotProd,
    Isa::kI8mm,
#endif
};

bool is_here(Isa isa) {
  return std::find(kLevels.begin(), kLevels.end(), isa) != kLevels.end() && isa <= detected_isa();
}

#if defined(__x86_64__)
// Linux hands out the 8 KiB of tile registers only on request (Documentation/arch/x86/xstate.rst).
bool request_amx() {
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXfeatureXtiledata = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
}

// CPUID leaf 7, subleaf 0, EDX: bit 22 AMX-BF16, 24 AMX-TILE, 25 AMX-INT8. GCC 12's __builtin_cpu_supports
// lacks them.
bool has_amx() {
  unsigned eax = 7, ebx = 0, ecx = 0, edx = 0;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  constexpr unsigned kAmxBits = (1u << 22) | (1u << 24) | (1u << 25);
  return (edx & kAmxBits) == kAmxBits && request_amx();
}

Isa detect() {
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")))
    return Isa::kBaseline;
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi")))
    return Isa::kAvx2;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::kAvx512;
  return has_amx() ? Isa::kAmx : Isa::kAvx512Bf16;
}
#elif defined(__aarch64__)
// Linux' hardware capabilities (Documentation/arch/arm64/elf_hwcaps.rst).
Isa detect() {
  constexpr unsigned long kDotProduct = 1ul << 20;    // in AT_HWCAP
  constexpr unsigned long kInt8Matrices = 1ul << 13;  // in AT_HWCAP2
  if ((::getauxval(AT_HWCAP) & kDotProduct) == 0) return Isa::kBaseline;
  return (::getauxval(AT_HWCAP2) & kInt8Matrices) != 0 ? Isa::kI8mm : Isa::kDotProd;
}
#else
Isa detect() { return Isa::kBaseline; }
#endif

std::atomic<Isa>& active() {
  static std::atomic<Isa> isa = [] {
    const char* wanted = std::getenv("ATELIER_ISA");
    if (wanted == nullptr) return detected_isa();
    const Result<Isa> named = isa_from_name(wanted);
    return named && is_here(*named) ? *named : detected_isa();
  }();
  return isa;
}

}  // namespace

std::string_view isa_name(Isa isa) { return kIsas[static_cast<size_t>(isa)].name; }

Result<Isa> isa_from_name(std::string_view name) {
  for (const IsaEntry& entry : kIsas)
    if (entry.name == name) return entry.isa;
  return fail(
      ErrorCode::kInvalidArgument,
      "instruction set: expected baseline, avx2, avx512, avx512bf16, amx, dotprod or i8mm, found '{}'", name);
}

std::span<const Isa> isa_levels() { return kLevels; }

Isa detected_isa() {
  static const Isa isa = detect();
  return isa;
}

Isa active_isa() { return active().load(std::memory_order_relaxed); }

bool set_active_isa(Isa isa) {
  if (!is_here(isa)) return false;
  active().store(isa);
  return true;
}

}  // namespace atelier
