// What a grammar of lines cannot see: that a patch takes a line away and puts the same line back. Such a
// patch is not allowed to end before it changes something.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/workspace/workspace.h"
#include "text/tokenizer.h"

namespace atelier::agent {

// Follows the arguments of one call, {"patch": "…"}, as they are generated.
class PatchGuard {
 public:
  PatchGuard(const Workspace& workspace, const Tokenizer& tokenizer)
      : workspace_(&workspace), tokenizer_(&tokenizer) {}

  void begin() { *this = PatchGuard(*workspace_, *tokenizer_); }
  void push(std::string_view bytes);
  // Takes out of `mask` what would end a patch that changes nothing so far. Where nothing else could come,
  // the mask stays as it is.
  void restrict(std::span<uint64_t> mask);

 private:
  std::string text_so_far() const;  // of the patch, decoded, up to the last line's end
  bool changes_nothing();

  const Workspace* workspace_;
  const Tokenizer* tokenizer_;
  std::string bytes_;         // from the patch's first character on, as written
  bool begun_ = false;        // the patch's string
  std::string head_;          // before it
  size_t line_ = 0;           // in bytes_: the present line's beginning
  size_t judged_ = SIZE_MAX;  // the line_ that changes_nothing() was asked about last
  bool nothing_ = false;      // what it said
};

}  // namespace atelier::agent
