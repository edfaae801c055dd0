#include "chat/harmony_header.h"

#include <algorithm>
#include <array>

namespace atelier::chat::harmony {
namespace {

constexpr std::string_view kWhitespace = " \t\n\r\f\v";
constexpr std::string_view kTo = "to=";
constexpr std::array<std::string_view, 3> kChannels = {"analysis", "commentary", "final"};
constexpr std::array<std::string_view, 4> kOtherRoles = {"user", "system", "developer", "tool"};

// Words, with a space supposed before "to=" ("commentaryto=f") and none after it ("to= f").
std::vector<std::string> words_of(std::string text) {
  for (size_t at = text.find(kTo); at != std::string::npos; at = text.find(kTo, at + kTo.size() + 1))
    text.insert(at, " ");
  std::vector<std::string> words;
  size_t begin = text.find_first_not_of(kWhitespace);
  while (begin != std::string::npos) {
    const size_t end = std::min(text.find_first_of(kWhitespace, begin), text.size());
    const std::string_view word = std::string_view(text).substr(begin, end - begin);
    if (!words.empty() && words.back() == kTo)
      words.back() += word;
    else
      words.emplace_back(word);
    begin = text.find_first_not_of(kWhitespace, end);
  }
  return words;
}

// A name that can only be meant as a recipient, even without "to=".
bool names_tool(std::string_view word) {
  constexpr std::array<std::string_view, 4> kNamespaces = {"functions.", "browser.", "container.",
                                                           "repo_browser."};
  return word == "python" || std::ranges::any_of(kNamespaces, [&](std::string_view space) {
           return word.starts_with(space) && word.size() > space.size();
         });
}

// Takes up what may stand anywhere: the recipient, else the content type.
void read_word(const std::string& word, Header& header) {
  if (word.starts_with(kTo)) {
    // A control token that was spelled out is no part of the name.
    header.recipient = word.substr(kTo.size(), word.find('<', kTo.size()) - kTo.size());
  } else if (header.recipient.empty() && names_tool(word)) {
    header.recipient = word;
  } else if (header.content_type.empty()) {
    header.content_type = word;
  }
}

std::string known_channel(const std::string& word) {
  for (std::string_view name : kChannels)
    if (word.starts_with(name)) return std::string(name);
  return word;
}

void read_channel(const std::vector<std::string>& words, Header& header) {
  size_t next = 0;
  if (!words.empty() && !words[0].starts_with(kTo)) {
    const std::string channel = known_channel(words[next++]);
    const bool known = std::ranges::find(kChannels, channel) != kChannels.end();
    if (known || header.channel.empty()) header.channel = channel;
  }
  for (; next < words.size(); ++next) read_word(words[next], header);
}

void read_constrain(const std::vector<std::string>& words, Header& header) {
  bool typed = false;
  for (const std::string& word : words) {
    if (!typed && !word.starts_with(kTo)) {
      header.content_type = "<|constrain|>" + word;
      typed = true;
    } else {
      read_word(word, header);
    }
  }
  if (!typed && header.content_type.empty()) header.content_type = "<|constrain|>";
}

// The role part; `implied`: it need not name the role.
void read_role(std::vector<std::string> words, bool implied, Header& header) {
  header.role = "assistant";
  if (!words.empty() && words[0].starts_with("assistant")) {
    words[0].erase(0, std::string_view("assistant").size());  // "assistantanalysis" keeps its rest
    if (words[0].empty()) words.erase(words.begin());
  } else if (!words.empty() && !implied) {
    const std::string& word = words[0];
    if (std::ranges::find(kOtherRoles, word) != kOtherRoles.end()) {
      header.role = word;
      words.erase(words.begin());
    } else if (names_tool(word) && !word.starts_with(kTo)) {
      header.role = "tool";  // the name of a tool in the role's place: the model imagines its answer
      words.erase(words.begin());
    }
  }
  for (const std::string& word : words) {
    if (header.channel.empty() && std::ranges::find(kChannels, known_channel(word)) != kChannels.end())
      header.channel = known_channel(word);
    else
      read_word(word, header);
  }
  if (header.recipient == "assistant" && header.by_assistant() && !implied) header.role = "tool";
}

}  // namespace

bool Header::is_call() const {
  return by_assistant() && !recipient.empty() && recipient != "all" && recipient != "user" &&
         recipient != "assistant";
}

void HeaderReader::start(bool implied) {
  parts_.assign(1, {});
  implied_ = implied;
}

void HeaderReader::channel() { parts_.push_back({Mark::kChannel, {}}); }

void HeaderReader::constrain() { parts_.push_back({Mark::kConstrain, {}}); }

size_t HeaderReader::text_bytes() const {
  size_t bytes = 0;
  for (const Part& part : parts_) bytes += part.text.size() + 1;
  return bytes;
}

Header HeaderReader::parse() const {
  Header header;
  for (const Part& part : parts_) {
    std::vector<std::string> words = words_of(part.text);
    switch (part.mark) {
      case Mark::kRole:
        read_role(std::move(words), implied_, header);
        break;
      case Mark::kChannel:
        read_channel(words, header);
        break;
      case Mark::kConstrain:
        read_constrain(words, header);
        break;
    }
  }
  return header;
}

std::string HeaderReader::content_without_message() const {
  const Part& last = parts_.back();
  size_t begin = last.text.find_first_not_of(kWhitespace);
  if (begin == std::string::npos) return {};
  const bool leads_with_name =
      last.mark != Mark::kRole || !implied_ || last.text.substr(begin).starts_with("assistant");
  if (leads_with_name)
    begin = last.text.find_first_not_of(kWhitespace, last.text.find_first_of(kWhitespace, begin));
  return begin == std::string::npos ? std::string() : last.text.substr(begin);
}

std::string call_name(std::string_view recipient) {
  constexpr std::string_view kFunctions = "functions.";
  if (recipient.starts_with(kFunctions) && recipient.size() > kFunctions.size())
    recipient.remove_prefix(kFunctions.size());
  return std::string(recipient);
}

}  // namespace atelier::chat::harmony
