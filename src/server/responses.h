// OpenAI: the body of /v1/responses as a task, and its answers. Source: the API reference of
// platform.openai.com.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "server/fields.h"
#include "server/reply.h"
#include "server/response_store.h"
#include "server/task.h"

namespace atelier::server {

struct NamespacedTool {
  std::string space, name;
};

struct ResponsesRequest {
  Task task{};
  bool stream = false;
  bool store = true;
  std::set<std::string> custom_tools{};  // names of those that take free-form text
  // Tools inside a namespace are "namespace.name" to the model: what their calls are told as.
  std::map<std::string, NamespacedTool> namespaced_tools{};
  // Members that the response object repeats: instructions, tools, tool_choice, temperature, ….
  OrderedJson echo = OrderedJson::object();
  // The items of the conversation so far, this request's input included, for those who continue it.
  OrderedJson items = OrderedJson::array();
  size_t n_items_before = 0;  // of these, from previous_response_id
};

// `store` knows the previous response and the items that input refers to. kNotFound if it does not.
Result<ResponsesRequest> parse_responses_request(const Json& body, ResponseStore& store);

// Adds items of the API's `input` to a conversation; `first` numbers them in errors.
Status read_input_items(const Json& items, chat::Conversation& conversation);

// `store` outlives the reply.
std::unique_ptr<Reply> make_responses_reply(ResponsesRequest request, ResponseStore& store);

}  // namespace atelier::server
