#include "chat/harmony_parser.h"

#include "chat/harmony_header.h"
#include "chat/turn_builder.h"

namespace atelier::chat::harmony {
namespace {

// A legal header is far shorter. What runs longer without <|message|> is an answer that lacks its header, and
// holding it back any further would only delay it.
constexpr size_t kMaxHeaderBytes = 512;

class HarmonyParser final : public Parser {
 public:
  HarmonyParser(const Tokenizer& tokenizer, const ControlTokens& ids, const ParserOptions& options)
      : tokenizer_(tokenizer), ids_(ids), decoder_(tokenizer), turn_(options) {}

  void push(TokenId id, std::vector<Delta>& out) override;
  bool done() const override { return ended_; }
  Section section() const override;
  chat::Message finish(std::vector<Delta>& out) override;
  FinishReason finish_reason() const override { return reason_; }
  std::span<const RawMessage> raw_messages() const override { return raw_; }

 private:
  enum class State { kHeader, kBody, kBetween, kClosed };

  void push_text(TokenId id, std::vector<Delta>& out);
  void begin_header(bool implied);
  void flush_header_text();
  void open_body(std::vector<Delta>& out);
  // A message ended, or ran on too long, without <|message|>.
  void open_body_without_message(std::vector<Delta>& out);
  void body_text(std::string_view text, std::vector<Delta>& out);
  void close_message(bool complete, std::vector<Delta>& out);
  void end_message(TokenId id, std::vector<Delta>& out);

  const Tokenizer& tokenizer_;
  ControlTokens ids_;
  StreamDecoder decoder_;
  TurnBuilder turn_;
  HeaderReader header_;
  RawMessage current_;
  std::vector<RawMessage> raw_;
  State state_ = State::kHeader;
  Section section_ = Section::kHeader;  // of the body; kOutside: a message that is not the assistant's
  bool ended_ = false;
  FinishReason reason_ = FinishReason::kLength;
};

void HarmonyParser::push(TokenId id, std::vector<Delta>& out) {
  if (state_ == State::kClosed) return;
  if (ids_.ends_message(id)) return end_message(id, out);
  if (id == ids_.start) {
    end_message(id, out);
    begin_header(false);
  } else if (id == ids_.channel) {
    if (state_ == State::kBody) close_message(true, out);
    if (state_ != State::kHeader) begin_header(true);
    flush_header_text();
    header_.channel();
  } else if (id == ids_.message) {
    if (state_ == State::kBetween) begin_header(true);
    if (state_ == State::kHeader) open_body(out);
  } else if (id == ids_.constrain) {
    if (state_ != State::kHeader) return;
    flush_header_text();
    header_.constrain();
  } else if (!tokenizer_.is_special(id)) {
    push_text(id, out);
  }
}

void HarmonyParser::push_text(TokenId id, std::vector<Delta>& out) {
  if (state_ == State::kBetween) begin_header(true);
  const std::string text = decoder_.push(id);
  if (state_ == State::kBody) return body_text(text, out);
  header_.text(text);
  if (header_.text_bytes() > kMaxHeaderBytes) open_body_without_message(out);
}

void HarmonyParser::begin_header(bool implied) {
  decoder_ = StreamDecoder(tokenizer_);
  header_.start(implied);
  state_ = State::kHeader;
}

void HarmonyParser::flush_header_text() { header_.text(decoder_.finish()); }

void HarmonyParser::open_body(std::vector<Delta>& out) {
  flush_header_text();
  const Header header = header_.parse();
  decoder_ = StreamDecoder(tokenizer_);
  state_ = State::kBody;
  current_ = {header.role, header.channel, header.recipient, header.content_type, {}};
  const bool awaits_results = ended_ && turn_.has_calls();
  if (!header.by_assistant() || (awaits_results && !header.is_call())) {
    section_ = Section::kOutside;  // an imagined user, an imagined tool result, or what is built on one
  } else if (header.is_call()) {
    section_ = Section::kArguments;
    turn_.begin_call(call_name(header.recipient), out);
  } else if (header.channel == "analysis") {
    section_ = Section::kReasoning;
    turn_.separate_reasoning(out);
  } else if (header.channel == "commentary") {
    section_ = Section::kPreamble;
    turn_.separate_preamble(out);
  } else {  // final, or no channel that we know: showing it loses nothing
    section_ = Section::kFinal;
    turn_.separate_final(out);
  }
}

void HarmonyParser::open_body_without_message(std::vector<Delta>& out) {
  flush_header_text();
  const Header header = header_.parse();
  const std::string content = header_.content_without_message();
  const bool too_long = header_.text_bytes() > kMaxHeaderBytes;
  if (!header.by_assistant() || (header.is_call() && !too_long))
    return open_body(out);  // a call without arguments
  // After the turn's end nothing without a header is meant for anybody.
  if (content.empty() || (ended_ && header.channel.empty())) {
    if (too_long) begin_header(true);
    return;
  }
  const bool known_channel = header.channel == "analysis" || header.channel == "commentary";
  header_.start(true);
  if (known_channel) {
    header_.channel();
    header_.text(header.channel);
  }
  open_body(out);
  body_text(content, out);
}

void HarmonyParser::body_text(std::string_view text, std::vector<Delta>& out) {
  current_.content += text;
  switch (section_) {
    case Section::kReasoning:
      turn_.reasoning(text, out);
      break;
    case Section::kPreamble:
      turn_.preamble(text, out);
      break;
    case Section::kFinal:
      turn_.final_text(text, out);
      break;
    case Section::kArguments:
      turn_.arguments(text, out);
      break;
    case Section::kHeader:
    case Section::kOutside:
      break;
  }
}

void HarmonyParser::close_message(bool complete, std::vector<Delta>& out) {
  body_text(decoder_.finish(), out);
  if (section_ == Section::kArguments) turn_.end_call(complete, out);
  if (section_ != Section::kOutside) turn_.message_end(out);
  raw_.push_back(std::move(current_));
  current_ = {};
  state_ = State::kBetween;
}

// An end token, or a <|start|> that stands where one should have been.
void HarmonyParser::end_message(TokenId id, std::vector<Delta>& out) {
  if (state_ == State::kHeader) open_body_without_message(out);
  const bool was_body = state_ == State::kBody;
  const Section section = section_;
  if (was_body) close_message(true, out);
  state_ = State::kBetween;
  const bool ends_turn = was_body && (section == Section::kFinal || section == Section::kArguments);
  // What follows nevertheless is read on: models have been seen to end their analysis with <|return|>.
  if (id != ids_.start && (id != ids_.end || ends_turn)) ended_ = true;
}

Section HarmonyParser::section() const {
  if (state_ == State::kBody) return section_;
  return state_ == State::kHeader ? Section::kHeader : Section::kOutside;
}

chat::Message HarmonyParser::finish(std::vector<Delta>& out) {
  if (state_ == State::kHeader) open_body_without_message(out);
  if (state_ == State::kBody) close_message(false, out);
  state_ = State::kClosed;
  if (ended_) reason_ = turn_.has_calls() ? FinishReason::kToolCalls : FinishReason::kStop;
  return turn_.take();
}

}  // namespace

std::unique_ptr<Parser> make_parser(const Tokenizer& tokenizer, const ControlTokens& ids,
                                    const ParserOptions& options) {
  return std::make_unique<HarmonyParser>(tokenizer, ids, options);
}

}  // namespace atelier::chat::harmony
