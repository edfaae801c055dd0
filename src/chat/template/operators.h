// Arithmetic and slices.
#pragma once

#include "chat/template/ast.h"
#include "chat/template/value.h"

namespace atelier::chat::jinja {

// Errors: kInvalidArgument for types an operator does not take, division by zero, and ints past 64 bits.
Result<Value> binary(BinaryOperator op, const Value& left, const Value& right, Budget& budget);
Result<Value> subtract(const Value& left, const Value& right);

// object[start:stop:step] of a text, list or tuple; None stands for a bound that was left out.
Result<Value> sliced(const Value& object, const Value& start, const Value& stop, const Value& step,
                     Budget& budget);

// template % values: Python's formatting with %s, %d, %5.2f, %(name)s. In format.cpp.
Result<Text> percent_format(const Text& pattern, const Value& values, Budget& budget);

}  // namespace atelier::chat::jinja
