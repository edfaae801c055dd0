// Names of models and of their files: what the store calls them, and what publishers may call theirs.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier {

// Letters, digits, '.', '_', '-', at most 128, the first a letter or digit: such a name can be a file name
// and can never leave the folder it is put in.
bool is_store_name(std::string_view name);
// kInvalidArgument, saying what a name may be, unless is_store_name.
Status check_store_name(std::string_view name);
// "Some Model (v2)" → "Some-Model-v2"; empty where nothing is left.
std::string store_name_from(std::string_view text);

// A publisher's file name that can be kept: not hidden, without separators and control characters.
bool is_plain_file_name(std::string_view name);

// "NAME-00002-of-00005.gguf" is part 2 of 5 of a split GGUF.
struct SplitName {
  std::string stem;  // "NAME"; without the split suffix all but the extension
  unsigned int parts = 0;

  std::string part(unsigned int number) const;  // from 1
};
// `file_name` ends with an extension. One without the split suffix gives zero parts.
SplitName parse_split_name(std::string_view file_name);

}  // namespace atelier
