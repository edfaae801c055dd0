// The header of a harmony message as a model wrote it: what stands between <|start|> and <|message|>.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::chat::harmony {

struct Header {
  std::string role;          // "assistant", "user", …; of a tool result "tool"
  std::string recipient;     // "functions.f", "browser.search"; empty: everybody
  std::string channel;       // "analysis", "commentary", "final", or what stood there; empty: none
  std::string content_type;  // "<|constrain|>json", "code"; empty: none

  bool by_assistant() const { return role == "assistant"; }
  // Addressed to a tool rather than to a person or to everybody.
  bool is_call() const;
};

// Collects the parts of a header and makes sense of them. Legal is
//   role [to=RECIPIENT] [<|channel|>CHANNEL [to=RECIPIENT]] [<|constrain|>TYPE | TYPE]
// and accepted is much more: parts missing, repeated, glued together or in another order.
class HeaderReader {
 public:
  // `implied`: the role stands outside (a turn begins right after "<|start|>assistant").
  void start(bool implied);
  void channel();    // a <|channel|> was read
  void constrain();  // a <|constrain|> was read
  void text(std::string_view text) { parts_.back().text += text; }

  size_t text_bytes() const;
  Header parse() const;
  // For a message that ended without <|message|>: which part of the text its author meant as content.
  std::string content_without_message() const;

 private:
  enum class Mark { kRole, kChannel, kConstrain };
  struct Part {
    Mark mark = Mark::kRole;
    std::string text;
  };
  std::vector<Part> parts_ = {{}};
  bool implied_ = true;
};

// "functions.f" → "f"; other recipients stay as they are.
std::string call_name(std::string_view recipient);

}  // namespace atelier::chat::harmony
