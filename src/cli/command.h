// What every command has in common: how it registers, how it speaks, how it ends.
#pragma once

#include <CLI/App.hpp>
#include <atomic>
#include <cstdio>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/store_staging.h"

namespace atelier::cli {

// Flags that stand before or after any command.
struct Globals {
  bool quiet = false;    // nothing on stderr but errors
  bool verbose = false;  // timings and cache figures on stderr
};

// A command registers itself as a subcommand; when it was the one called, it leaves its work in `selected`.
using Run = std::function<Status()>;
struct Registration {
  CLI::App& app;
  const Globals& globals;
  Run& selected;
};

void register_chat(Registration);
void register_generate(Registration);
void register_tokenizer_commands(Registration);  // tokenize, detokenize
void register_dialect_commands(Registration);    // render, parse
void register_logits(Registration);
void register_perplexity(Registration);
void register_apply(Registration);
void register_exec(Registration);
void register_agent(Registration);           // agent, resume
void register_trust_commands(Registration);  // trust, mcp
void register_bench(Registration);
void register_synth(Registration);
void register_store_commands(Registration);  // pull, list, show, rm
void register_pack(Registration);
void register_doctor(Registration);
void register_serve(Registration);

// Parses the command line, runs the command, reports its error. Returns the exit code of docs/cli.md: 0, 1, 2
// or 130.
int run(int argc, char** argv);

// Bytes to stdout, at once. kIo when nobody reads any more.
Status print(std::string_view bytes);
// One JSON value on one line.
Status print_json(const nlohmann::json& value);
// A line for people, on stderr; nothing under --quiet.
void note(const Globals& globals, std::string_view line);

// Everything on standard input. kLimit past `max_bytes`.
Result<std::string> read_stdin(size_t max_bytes);

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();
bool colours_wanted(int fd);  // a terminal, and NO_COLOR unset or empty

// Set by the first Ctrl-C; a second one ends the process with 130.
const std::atomic<bool>& interrupted();
void clear_interrupted();

// A bar on stderr while a transfer runs, if stderr is a terminal; Ctrl-C cancels it.
TransferHooks transfer_hooks(const Globals& globals);

}  // namespace atelier::cli
