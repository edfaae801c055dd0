#include "engine/constraint/constraint_cache.h"

#include <algorithm>

#include "engine/constraint/gbnf.h"
#include "engine/constraint/regex.h"
#include "engine/token_filter.h"

namespace atelier::constraint {

Result<std::shared_ptr<Constraint>> ConstraintCache::get(const std::string& key, const Compile& compile) {
  if (auto known = find(key)) return known;
  ATELIER_TRY(std::shared_ptr<const Grammar> grammar, compile());
  ATELIER_TRY(std::shared_ptr<Constraint> made, Constraint::create(std::move(grammar), vocabulary()));
  made->prepare();  // here, where nobody's next token waits for it
  return add(key, std::move(made));
}

Result<std::shared_ptr<Constraint>> ConstraintCache::json_schema(std::string_view schema,
                                                                 const JsonSchemaOptions& options) {
  const std::string key = fmt::format("schema {}{}{} {}", static_cast<int>(options.space),
                                      options.unlisted_properties, options.object_only, schema);
  return get(key, [&] { return compile_json_schema(schema, options); });
}

Result<std::shared_ptr<Constraint>> ConstraintCache::regex(std::string_view pattern) {
  return get(fmt::format("regex {}", pattern), [&] { return compile_regex(pattern); });
}

Result<std::shared_ptr<Constraint>> ConstraintCache::gbnf(std::string_view grammar) {
  return get(fmt::format("gbnf {}", grammar), [&] { return compile_gbnf(grammar); });
}

void ConstraintCache::read_vocabulary() {
  std::call_once(vocabulary_read_, [this] {
    vocabulary_ = TokenTrie::build(*tokenizer_);
    text_mask_.assign(token_mask_words(tokenizer_->vocab_size()), 0);
    for (uint32_t node = 0; node < vocabulary_->n_nodes(); ++node)
      for (const TokenId id : vocabulary_->tokens_at(node))
        text_mask_[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
  });
}

const std::shared_ptr<const TokenTrie>& ConstraintCache::vocabulary() {
  read_vocabulary();
  return vocabulary_;
}

const std::vector<uint64_t>& ConstraintCache::text_mask() {
  read_vocabulary();
  return text_mask_;
}

std::shared_ptr<Constraint> ConstraintCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find(entries_, key, &Entry::key);
  if (at == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, at);
  trim();  // they grow while they are used
  return at->constraint;
}

std::shared_ptr<Constraint> ConstraintCache::add(const std::string& key,
                                                 std::shared_ptr<Constraint> constraint) {
  const std::lock_guard lock(mutex_);
  // Two may have compiled the same at the same time: the first one's serves both.
  if (const auto at = std::ranges::find(entries_, key, &Entry::key); at != entries_.end())
    return at->constraint;
  entries_.push_front({key, std::move(constraint)});
  trim();
  return entries_.front().constraint;
}

// Under the mutex. The first one stays.
void ConstraintCache::trim() {
  size_t bytes = 0, kept = 0;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    bytes += entry->constraint->bytes();
    const bool fits = kept == 0 || (kept < kMaxEntries && bytes <= kMaxBytes);
    entry = fits ? std::next(entry) : entries_.erase(entry);
    ++kept;
  }
}

size_t ConstraintCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace atelier::constraint
