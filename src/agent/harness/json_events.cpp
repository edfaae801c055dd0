#include "agent/harness/json_events.h"

#include "agent/tools/output_text.h"

namespace atelier::agent {
namespace {

using chat::Json;

std::string_view change_kind(const FileChange& change) {
  if (!change.moved_to.empty() || !change.moved_from.empty()) return "move";
  if (!change.before) return "add";
  return change.after ? "update" : "delete";
}

Json changes_json(const std::vector<FileChange>& changes) {
  Json list = Json::array();
  for (const FileChange& change : changes)
    list.push_back({{"path", change.path}, {"kind", change_kind(change)}});
  return list;
}

Json item_json(const Item& item) {
  Json json = {{"id", item.id}, {"type", item_kind_name(item.kind)}};
  switch (item.kind) {
    case Item::Kind::kReasoning:
    case Item::Kind::kMessage:
      json["text"] = item.text;
      if (item.kind == Item::Kind::kMessage) json["final"] = item.final;
      return json;
    case Item::Kind::kCommand:
      json["command"] = item.text;
      json["output"] = item.output;
      json["exit_code"] = item.exit_code ? Json(*item.exit_code) : Json(nullptr);
      if (!item.changes.empty()) json["changes"] = changes_json(item.changes);
      break;
    case Item::Kind::kPatch:
      json["files"] = item.text;
      json["changes"] = changes_json(item.changes);
      json["output"] = item.output;
      break;
    case Item::Kind::kPlan: {
      Json steps = Json::array();
      for (const PlanStep& step : item.plan)
        steps.push_back({{"text", step.text}, {"status", plan_state_name(step.state)}});
      json["items"] = std::move(steps);
      break;
    }
    case Item::Kind::kTool:
      json["tool"] = item.tool;
      json["arguments"] = item.arguments;
      json["output"] = item.output;
      break;
  }
  json["status"] = item_state_name(item.state);
  return json;
}

Json usage_json(const AgentUsage& usage) {
  return {{"steps", usage.steps},
          {"input_tokens", usage.prompt_tokens},
          {"cached_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.output_tokens},
          {"context_tokens", usage.context_tokens}};
}

}  // namespace

void JsonEvents::emit(const Json& event) const {
  write_(event.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void JsonEvents::thread_started(const std::string& thread_id) {
  emit({{"type", "thread.started"}, {"thread_id", thread_id}});
}

void JsonEvents::on_turn_started() { emit({{"type", "turn.started"}}); }

void JsonEvents::on_item(Phase phase, const Item& item, std::string_view) {
  switch (phase) {
    case Phase::kStarted:
      updated_ = std::chrono::steady_clock::now();
      return emit({{"type", "item.started"}, {"item", item_json(item)}});
    case Phase::kCompleted:
      return emit({{"type", "item.completed"}, {"item", item_json(item)}});
    case Phase::kUpdated: {
      // Text is told once, when it is complete: repeating it with every token would be quadratic.
      const auto now = std::chrono::steady_clock::now();
      if (item.kind != Item::Kind::kCommand || item.output.size() > kMaxUpdateBytes ||
          now - updated_ < kUpdateEvery)
        return;
      updated_ = now;
      return emit({{"type", "item.updated"}, {"item", item_json(item)}});
    }
  }
}

void JsonEvents::on_note(std::string_view text) { emit({{"type", "note"}, {"text", text}}); }

void JsonEvents::turn_ended(const TaskEnd& end) {
  if (end.kind == TaskEnd::Kind::kAnswered)
    return emit({{"type", "turn.completed"}, {"usage", usage_json(end.usage)}});
  turn_failed(end.text, end.usage);
}

void JsonEvents::turn_failed(const std::string& message, const AgentUsage& usage) {
  emit({{"type", "turn.failed"}, {"error", {{"message", message}}}, {"usage", usage_json(usage)}});
}

}  // namespace atelier::agent
