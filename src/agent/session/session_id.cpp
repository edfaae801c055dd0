#include "agent/session/session_id.h"

#include <algorithm>
#include <ctime>
#include <random>

#include "base/user_folders.h"

namespace atelier::agent {

std::string new_session_id() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::random_device random;
  return fmt::format("{:04}{:02}{:02}-{:02}{:02}{:02}-{:08x}", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, random());
}

bool is_session_id(std::string_view text) {
  constexpr std::string_view kShape = "00000000-000000-xxxxxxxx";
  if (text.size() != kShape.size()) return false;
  return std::ranges::equal(text, kShape, [](char c, char shape) {
    const bool digit = c >= '0' && c <= '9';
    if (shape == '-') return c == '-';
    return digit || (shape == 'x' && c >= 'a' && c <= 'f');
  });
}

Result<std::filesystem::path> sessions_folder() {
  ATELIER_TRY(const std::filesystem::path state, user_folder(UserFolder::kState));
  return state / "sessions";
}

Result<std::filesystem::path> session_folder(std::string_view id) {
  if (!is_session_id(id))
    return fail(ErrorCode::kInvalidArgument,
                "session: expected an id such as 20250628-101500-5f3a9c2e, found {}", id);
  ATELIER_TRY(const std::filesystem::path all, sessions_folder());
  return all / id;
}

}  // namespace atelier::agent
