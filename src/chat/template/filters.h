// Tables of filters and tests by name.
#pragma once

#include <string_view>

#include "chat/template/interpreter.h"

namespace atelier::chat::jinja {

using FilterFunction = Result<Value> (*)(Interpreter& interpreter, const Value& value,
                                         const Arguments& arguments);

struct FilterEntry {
  std::string_view name;
  FilterFunction function;
};
// nullptr if there is none of this name.
FilterFunction find_text_filter(std::string_view name);
FilterFunction find_list_filter(std::string_view name);
FilterFunction find_value_filter(std::string_view name);

template <class Table>
FilterFunction look_up_filter(const Table& table, std::string_view name) {
  for (const FilterEntry& entry : table)
    if (entry.name == name) return entry.function;
  return nullptr;
}

}  // namespace atelier::chat::jinja
