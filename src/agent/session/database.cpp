#include "agent/session/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"

namespace atelier::agent {
namespace {

constexpr int kBusyMs = 10'000;  // how long one process waits for another's transaction

}  // namespace

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
void Statement::Finalize::operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }

Database::Database(sqlite3* handle, std::filesystem::path path) : handle_(handle), path_(std::move(path)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::filesystem::path& file) {
  std::error_code failed;
  if (std::filesystem::create_directories(file.parent_path(), failed))
    std::filesystem::permissions(file.parent_path(), std::filesystem::perms::owner_all, failed);
  if (failed) return tl::unexpected<Error>(errno_error(file.parent_path(), failed.value()));
  sqlite3* handle = nullptr;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(file.c_str(), &handle, kFlags, nullptr);
  Database database(handle, file);  // to be closed also where opening failed
  if (code != SQLITE_OK) return tl::unexpected<Error>(database.error());
  ::chmod(file.c_str(), S_IRUSR | S_IWUSR);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMs);
  // A database that somebody prepared must not run anything of its own.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  ATELIER_CHECK_OK(database.execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY"));
  return database;
}

Error Database::error() const {
  const int code = handle_ ? sqlite3_extended_errcode(handle_.get()) : SQLITE_NOMEM;
  const bool corrupt = (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
  return {corrupt ? ErrorCode::kCorrupt : ErrorCode::kIo,
          fmt::format("{}: {}", path_.string(), handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory")};
}

Result<Statement> Database::prepare(std::string_view sql) const {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
      SQLITE_OK)
    return tl::unexpected<Error>(error());
  return Statement(*this, statement);
}

Status Database::execute(const char* sql) const {
  if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected<Error>(error());
  return {};
}

int64_t Database::last_inserted_id() const { return sqlite3_last_insert_rowid(handle_.get()); }

void Statement::note(int code) {
  if (code != SQLITE_OK && failed_ == 0) failed_ = code;
}

Statement& Statement::bind(int64_t value) {
  note(sqlite3_bind_int64(handle_.get(), next_++, value));
  return *this;
}
Statement& Statement::bind(std::string_view text) {
  note(sqlite3_bind_text64(handle_.get(), next_++, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}
Statement& Statement::bind_bytes(std::string_view bytes) {
  // A null pointer would bind NULL instead of no bytes.
  const char* data = bytes.empty() ? "" : bytes.data();
  note(sqlite3_bind_blob64(handle_.get(), next_++, data, bytes.size(), SQLITE_TRANSIENT));
  return *this;
}
Statement& Statement::bind_null() {
  note(sqlite3_bind_null(handle_.get(), next_++));
  return *this;
}

Result<bool> Statement::step() {
  if (failed_ != 0)
    return fail(ErrorCode::kIo, "{}: {}", database_->path().string(), sqlite3_errstr(failed_));
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return tl::unexpected<Error>(database_->error());
}

Status Statement::run() {
  const Result<bool> row = step();
  reset();
  if (!row) return tl::unexpected<Error>(row.error());
  return {};
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
  next_ = 1;
  failed_ = 0;
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }
bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}
std::string Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(handle_.get(), column);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

Result<Transaction> Transaction::begin(const Database& database) {
  ATELIER_CHECK_OK(database.execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ != nullptr) (void)database_->execute("ROLLBACK");
}

Status Transaction::commit() {
  ATELIER_CHECK_OK(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace atelier::agent
