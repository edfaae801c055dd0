#include "base/utf8.h"

#include <algorithm>
#include <array>

namespace atelier {
namespace {

// What a lead byte promises: total length, and the bounds of the second byte (Unicode table 3-7), which rule
// out overlong forms, surrogates and values past U+10FFFF. Length 0: no lead byte.
struct Lead {
  uint8_t length;
  uint8_t second_min;
  uint8_t second_max;
};
constexpr Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}
constexpr std::array<Lead, 256> kLeads = [] {
  std::array<Lead, 256> leads{};
  for (size_t i = 0; i < leads.size(); ++i) leads[i] = lead_of(static_cast<uint8_t>(i));
  return leads;
}();

// Bytes at `at` that agree with one valid character: its whole length if it is complete, fewer if it breaks
// off or runs into `end`, and 0 if `at` is no lead byte.
size_t agreeing_bytes(const char* at, const char* end) {
  const Lead lead = kLeads[static_cast<uint8_t>(*at)];
  if (lead.length <= 1 || end - at < 2) return lead.length == 0 ? 0 : 1;
  const auto second = static_cast<uint8_t>(at[1]);
  if (second < lead.second_min || second > lead.second_max) return 1;
  size_t n = 2;
  while (n < lead.length && at + n < end && (static_cast<uint8_t>(at[n]) & 0xC0) == 0x80) ++n;
  return n;
}

}  // namespace

void append_utf8(char32_t code_point, std::string& out) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

size_t valid_utf8_prefix(std::string_view text) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    const Utf8Char c = decode_utf8(at, end);
    if (!c.valid) break;
    at += c.length;
  }
  return static_cast<size_t>(at - text.data());
}

size_t incomplete_utf8_tail(std::string_view bytes) {
  const char* end = bytes.data() + bytes.size();
  for (size_t n = 1; n <= std::min<size_t>(3, bytes.size()); ++n) {
    const char* at = end - n;
    const Lead lead = kLeads[static_cast<uint8_t>(*at)];
    if (lead.length == 0) continue;  // a continuation byte, or one that can never be valid
    return lead.length > n && agreeing_bytes(at, end) == n ? n : 0;
  }
  return 0;
}

void append_utf8_lossy(std::string_view bytes, std::string& out) {
  const char* at = bytes.data();
  const char* end = at + bytes.size();
  while (at < end) {
    const size_t n = agreeing_bytes(at, end);
    if (n != 0 && n == kLeads[static_cast<uint8_t>(*at)].length) {
      out.append(at, n);
    } else {
      append_utf8(kInvalidByte, out);
    }
    at += std::max<size_t>(n, 1);
  }
}

}  // namespace atelier
