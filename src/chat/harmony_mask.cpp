#include "chat/harmony_mask.h"

#include <algorithm>

namespace atelier::chat::harmony {
namespace {

// A prefix tree over ids. Node 0 is the root of its first insertions; children are sorted.
class IdTree {
 public:
  struct Node {
    std::vector<TokenId> ids;
    std::vector<size_t> next;
  };

  size_t add_node() {
    nodes_.emplace_back();
    return nodes_.size() - 1;
  }
  // The node that `ids` lead to from `node`.
  size_t insert(size_t node, std::span<const TokenId> ids) {
    for (TokenId id : ids) {
      const auto found = child(node, id);
      node = found ? *found : add_child(node, id, add_node());
    }
    return node;
  }
  size_t add_child(size_t node, TokenId id, size_t target) {
    Node& parent = nodes_[node];
    const auto at = std::ranges::lower_bound(parent.ids, id) - parent.ids.begin();
    parent.ids.insert(parent.ids.begin() + at, id);
    parent.next.insert(parent.next.begin() + at, target);
    return target;
  }
  std::optional<size_t> child(size_t node, TokenId id) const {
    const Node& parent = nodes_[node];
    const auto found = std::ranges::lower_bound(parent.ids, id);
    if (found == parent.ids.end() || *found != id) return std::nullopt;
    return parent.next[static_cast<size_t>(found - parent.ids.begin())];
  }
  std::span<const TokenId> ids(size_t node) const { return nodes_[node].ids; }

 private:
  std::vector<Node> nodes_;
};

class HarmonyMask final : public HeaderMask {
 public:
  // `calls`: the headers that are left once a turn that has to call has said enough else; empty: it need not.
  HarmonyMask(const ControlTokens& ids, std::span<const TokenId> role,
              std::span<const std::vector<TokenId>> headers, std::span<const std::vector<TokenId>> calls)
      : ids_(ids), must_call_(!calls.empty()), any_(add_place(role, headers)), call_(add_place(role, calls)) {
    at_ = any_.header;
  }

  std::optional<std::span<const TokenId>> allowed() const override {
    if (!at_) return std::nullopt;
    return tree_.ids(*at_);
  }

  void push(TokenId id) override {
    const Place& place = must_call_ && n_ended_ >= kMessagesBeforeCall ? call_ : any_;
    if (id == ids_.end) {
      ++n_ended_;
      at_ = must_call_ && n_ended_ >= kMessagesBeforeCall ? call_.between : any_.between;
    } else if (id == ids_.start) {
      at_ = place.started;
    } else if (id == ids_.message || ids_.ends_message(id)) {
      at_.reset();  // a body runs free; after the end of the turn nothing is sampled
    } else if (id == ids_.channel && !at_) {
      at_ = tree_.child(place.header, id);  // a header without <|start|>
    } else if (at_) {
      at_ = tree_.child(*at_, id);  // none: left the legal ground, free until the next landmark
    }
  }

 private:
  // Reasoning and a preamble: what comes before a call. After them a turn that has to call calls.
  static constexpr size_t kMessagesBeforeCall = 2;

  struct Place {
    size_t between = 0;  // after <|end|>
    size_t started = 0;  // after <|start|>
    size_t header = 0;   // after the role
  };
  Place add_place(std::span<const TokenId> role, std::span<const std::vector<TokenId>> headers) {
    Place place;
    place.between = tree_.add_node();
    place.started = tree_.insert(place.between, std::span(&ids_.start, 1));
    place.header = tree_.insert(place.started, role);
    for (const auto& header : headers) tree_.insert(place.header, header);
    return place;
  }

  ControlTokens ids_;
  IdTree tree_;
  bool must_call_;
  Place any_, call_;
  size_t n_ended_ = 0;
  std::optional<size_t> at_;
};

struct Recipient {
  std::string name;
  bool builtin;
};

std::vector<Recipient> recipients_of(const Conversation& conversation) {
  std::vector<Recipient> out;
  const ToolChoice& choice = conversation.tool_choice;
  if (choice.kind == ToolChoice::Kind::kNone) return out;
  const bool any = choice.kind != ToolChoice::Kind::kFunction;
  for (const FunctionTool& tool : conversation.tools)
    if (any || tool.name == choice.name) out.push_back({"functions." + tool.name, false});
  for (BuiltinTool builtin : conversation.builtin_tools) {
    const ToolNamespace space = builtin_namespace(builtin);
    if (any && space.tools.empty()) out.push_back({space.name, true});
    for (const FunctionTool& tool : space.tools) {
      std::string name = space.name + "." + tool.name;
      if (any || name == choice.name) out.push_back({std::move(name), true});
    }
  }
  return out;
}

// Every header a call may have, from after the role to <|message|>.
void append_call_headers(const Recipient& recipient, const ControlTokens& ids, std::vector<Prompt>& out) {
  const std::string to = " to=" + recipient.name;
  const std::string channel = recipient.builtin ? "analysis" : "commentary";
  Prompt in_role, after_channel;
  in_role.piece(to).control(ids.channel).piece(channel);
  after_channel.control(ids.channel).piece(channel).piece(to);
  for (const Prompt& head : {in_role, after_channel}) {
    Prompt plain = head, spaced = head, glued = head, code = head;
    out.push_back(std::move(plain.control(ids.message)));
    out.push_back(std::move(spaced.piece(" ").control(ids.constrain).piece("json").control(ids.message)));
    out.push_back(std::move(glued.control(ids.constrain).piece("json").control(ids.message)));
    if (recipient.builtin) out.push_back(std::move(code.piece(" code").control(ids.message)));
  }
}

std::vector<Prompt> call_headers(const ControlTokens& ids, std::span<const Recipient> recipients) {
  std::vector<Prompt> headers;
  for (const Recipient& recipient : recipients) append_call_headers(recipient, ids, headers);
  return headers;
}

// Of messages that are no calls.
std::vector<Prompt> other_headers(const ControlTokens& ids, const Conversation& conversation,
                                  bool must_call) {
  const auto plain = [&](std::string_view channel) {
    Prompt prompt;
    prompt.control(ids.channel).piece(channel).control(ids.message);
    return prompt;
  };
  std::vector<Prompt> headers = {plain("analysis"), plain("commentary")};
  if (!must_call) headers.push_back(plain("final"));
  const ResponseFormat::Kind format = conversation.response_format.kind;
  const bool json =
      format == ResponseFormat::Kind::kJsonObject || format == ResponseFormat::Kind::kJsonSchema;
  if (!must_call && json) {
    Prompt typed;
    typed.control(ids.channel)
        .piece("final")
        .piece(" ")
        .control(ids.constrain)
        .piece("json")
        .control(ids.message);
    headers.push_back(std::move(typed));
  }
  return headers;
}

}  // namespace

std::unique_ptr<HeaderMask> make_mask(const Tokenizer& tokenizer, const ControlTokens& ids,
                                      const Conversation& conversation) {
  const std::vector<Recipient> recipients = recipients_of(conversation);
  const bool must_call = !recipients.empty() && conversation.tool_choice.kind != ToolChoice::Kind::kAuto;
  std::vector<std::vector<TokenId>> headers, calls;
  for (const Prompt& header : call_headers(ids, recipients)) calls.push_back(header.encode(tokenizer));
  for (const Prompt& header : other_headers(ids, conversation, must_call))
    headers.push_back(header.encode(tokenizer));
  headers.insert(headers.end(), calls.begin(), calls.end());
  if (!must_call) calls.clear();
  return std::make_unique<HarmonyMask>(ids, tokenizer.encode(role_name(Role::kAssistant)), headers, calls);
}

}  // namespace atelier::chat::harmony
