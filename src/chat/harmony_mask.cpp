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
  HarmonyMask(const ControlTokens& ids, std::vector<TokenId> role,
              std::span<const std::vector<TokenId>> headers)
      : ids_(ids) {
    between_ = tree_.add_node();
    const size_t started = tree_.insert(between_, std::span(&ids_.start, 1));
    header_ = tree_.insert(started, role);
    started_ = started;
    for (const auto& header : headers) tree_.insert(header_, header);
    at_ = header_;
  }

  std::optional<std::span<const TokenId>> allowed() const override {
    if (!at_) return std::nullopt;
    return tree_.ids(*at_);
  }

  void push(TokenId id) override {
    if (id == ids_.end) {
      at_ = between_;
    } else if (id == ids_.start) {
      at_ = started_;
    } else if (id == ids_.message || ids_.ends_message(id)) {
      at_.reset();  // a body runs free; after the end of the turn nothing is sampled
    } else if (id == ids_.channel && !at_) {
      at_ = tree_.child(header_, id);  // a header without <|start|>
    } else if (at_) {
      at_ = tree_.child(*at_, id);  // none: left the legal ground, free until the next landmark
    }
  }

 private:
  ControlTokens ids_;
  IdTree tree_;
  size_t between_ = 0;  // after <|end|>
  size_t started_ = 0;  // after <|start|>
  size_t header_ = 0;   // after the role
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

std::vector<Prompt> legal_headers(const ControlTokens& ids, const Conversation& conversation) {
  const std::vector<Recipient> recipients = recipients_of(conversation);
  const ToolChoice::Kind kind = conversation.tool_choice.kind;
  const bool must_call =
      !recipients.empty() && (kind == ToolChoice::Kind::kRequired || kind == ToolChoice::Kind::kFunction);
  const auto plain = [&](std::string_view channel) {
    Prompt prompt;
    prompt.control(ids.channel).piece(channel).control(ids.message);
    return prompt;
  };
  std::vector<Prompt> headers = {plain("analysis"), plain("commentary")};
  if (!must_call) headers.push_back(plain("final"));
  if (!must_call && conversation.response_format.kind != ResponseFormat::Kind::kText) {
    Prompt typed;
    typed.control(ids.channel)
        .piece("final")
        .piece(" ")
        .control(ids.constrain)
        .piece("json")
        .control(ids.message);
    headers.push_back(std::move(typed));
  }
  for (const Recipient& recipient : recipients) append_call_headers(recipient, ids, headers);
  return headers;
}

}  // namespace

std::unique_ptr<HeaderMask> make_mask(const Tokenizer& tokenizer, const ControlTokens& ids,
                                      const Conversation& conversation) {
  std::vector<std::vector<TokenId>> headers;
  for (const Prompt& header : legal_headers(ids, conversation)) headers.push_back(header.encode(tokenizer));
  return std::make_unique<HarmonyMask>(ids, tokenizer.encode(role_name(Role::kAssistant)), headers);
}

}  // namespace atelier::chat::harmony
