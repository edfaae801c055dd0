// SQLite with errors as values: what of it the session store needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace atelier::agent {

class Statement;

// A connection, for one thread at a time; several may be open on one file, also in several processes.
class Database {
 public:
  // Makes the file, readable by its owner alone, with its folder if need be. What a transaction has committed
  // is on disk: WAL, synchronous=FULL. Errors: kIo; kCorrupt for a file that is no database.
  static Result<Database> open(const std::filesystem::path& file);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // One statement; the text must be ours, values are bound.
  Result<Statement> prepare(std::string_view sql) const;
  // Statements without values and rows, separated by semicolons.
  Status execute(const char* sql) const;
  int64_t last_inserted_id() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  friend class Statement;
  Database(sqlite3* handle, std::filesystem::path path);
  Error error() const;

  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::unique_ptr<sqlite3, Close> handle_;
  std::filesystem::path path_;
};

class Statement {
 public:
  // The next parameter, in order. A value that cannot be bound makes step() fail.
  Statement& bind(int64_t value);
  Statement& bind(std::string_view text);
  Statement& bind_bytes(std::string_view bytes);
  Statement& bind_null();
  // True: there is a row, whose columns count from 0.
  Result<bool> step();
  // step() for what returns no rows; ready to be bound anew afterwards.
  Status run();
  void reset();

  int64_t integer(int column) const;
  bool is_null(int column) const;
  std::string text(int column) const;  // also bytes

 private:
  friend class Database;
  Statement(const Database& database, sqlite3_stmt* handle) : database_(&database), handle_(handle) {}
  void note(int code);

  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  int next_ = 1;
  int failed_ = 0;
};

// All or nothing of what is executed while it lives: rolled back unless committed.
class Transaction {
 public:
  static Result<Transaction> begin(const Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status commit();

 private:
  explicit Transaction(const Database& database) : database_(&database) {}
  const Database* database_;
};

}  // namespace atelier::agent
