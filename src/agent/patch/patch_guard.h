// What a grammar of lines cannot see: that a patch takes a line away and puts the same line back, or names a
// file for the second time. A patch is not allowed to end before it changes something, nor to name a file
// again.
#pragma once

#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/patch/patch_scope.h"
#include "agent/workspace/workspace.h"
#include "text/tokenizer.h"

namespace atelier::agent {

// Follows the arguments of one call, {"patch": "…"}, as they are generated.
class PatchGuard {
 public:
  PatchGuard(const Workspace& workspace, const Tokenizer& tokenizer, std::shared_ptr<const PatchScope> scope);

  void begin();
  void push(std::string_view bytes);
  // Takes out of `mask` what would end a patch that changes nothing so far, and names that were named before.
  // Where nothing else could come, the mask stays as it is.
  void restrict(std::span<uint64_t> mask);

  // May these bytes come next, as far as names are concerned?
  bool names_once(std::string_view bytes) const;
  // Does the patch apply and change something if `rest` brings the arguments to their end?
  bool ends_well(std::string_view rest) const;
  // Where a name is being written: what would complete its line with a file that was not named yet, for each.
  std::vector<std::string> names_left() const;

 private:
  std::string_view line() const { return std::string_view(bytes_).substr(line_); }
  bool may_be(std::string_view line, bool complete) const;
  void note(std::string_view line);
  bool changes(std::string_view patch) const;  // as written, to its end
  bool changes_nothing();

  const Workspace* workspace_;
  const Tokenizer* tokenizer_;
  std::vector<std::string> names_;  // of the files that may be changed, as written
  std::vector<bool> named_;
  std::set<std::string, std::less<>> made_;  // new names
  std::string bytes_;                        // from the patch's first character on, as written
  bool begun_ = false;                       // the patch's string
  std::string head_;                         // before it
  size_t line_ = 0;                          // in bytes_: the present line's beginning
  size_t judged_ = SIZE_MAX;                 // the line_ that changes_nothing() was asked about last
  bool nothing_ = false;                     // what it said
};

}  // namespace atelier::agent
