#include "agent/sandbox/launch_spec.h"

#include <cstring>

namespace atelier::agent {
namespace {

// Both directions in one place: a field that is written is read at the same position.
class Writer {
 public:
  void operator()(const std::string& text) {
    number(text.size());
    bytes_ += text;
  }
  void operator()(const std::vector<std::string>& list) {
    number(list.size());
    for (const std::string& text : list) (*this)(text);
  }
  template <class T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  void operator()(const T& value) {
    number(static_cast<uint64_t>(value));
  }
  std::string take() { return std::move(bytes_); }

 private:
  void number(uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  void operator()(std::string& text) {
    const uint64_t n = number();
    if (n > bytes_.size()) {
      good_ = false;
      return;
    }
    text = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
  }
  void operator()(std::vector<std::string>& list) {
    for (uint64_t n = number(); good_ && n > 0; --n) (*this)(list.emplace_back());
  }
  template <class T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  void operator()(T& value) {
    value = static_cast<T>(number());
  }
  bool complete() const { return good_ && bytes_.empty(); }

 private:
  uint64_t number() {
    uint64_t value = 0;
    if (bytes_.size() < sizeof value) {
      good_ = false;
      return 0;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view bytes_;
  bool good_ = true;
};

template <class Spec, class Visitor>
void visit(Spec& spec, Visitor& field) {
  field(spec.means);
  field(spec.network);
  field(spec.local_sockets);
  field(spec.argv);
  field(spec.environment);
  field(spec.folder);
  field(spec.hidden);
  field(spec.readable);
  field(spec.writable);
  field(spec.protected_paths);
  field(spec.scratch);
  field(spec.temporary_bytes);
  field(spec.max_processes);
}

}  // namespace

std::string encode(const LaunchSpec& spec) {
  Writer writer;
  visit(spec, writer);
  return writer.take();
}

Result<LaunchSpec> decode_launch_spec(std::string_view bytes) {
  LaunchSpec spec;
  Reader reader(bytes);
  visit(spec, reader);
  if (!reader.complete()) return fail(ErrorCode::kCorrupt, "sandbox: the launcher was told nonsense");
  return spec;
}

}  // namespace atelier::agent
