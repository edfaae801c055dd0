#!/bin/sh
# Makes sure that what tools/packages.txt lists is installed.
#
#   tools/packages.sh build        what ./atelier needs
#   tools/packages.sh build test   what ./test.sh needs
#   tools/packages.sh build test fuzz  what ./test.sh fuzz needs
#
# On Debian and Ubuntu it installs what is missing, as root or through sudo; elsewhere, or where it may not, it
# names what is missing and fails. Prints nothing when everything is there.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
list=$here/packages.txt

say() { printf 'atelier: %s\n' "$*" >&2; }

# Progress is for people at a terminal.
note() { if [ -t 2 ]; then say "$@"; fi; }

# "PACKAGES PROBE" lines of the wanted sets.
wanted() {
  for set in "$@"; do
    while read -r in_set packages probe; do
      [ "$in_set" = "$set" ] && echo "$packages $probe"
    done <"$list"
  done
}

installed=
has_package() {
  case "$installed" in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

has_program() {
  if [ "$1" = c++ ]; then
    command -v c++ >/dev/null || command -v clang++ >/dev/null || command -v g++ >/dev/null
  else
    command -v "$1" >/dev/null
  fi
}

has_header() {
  for compiler in "${CXX:-c++}" clang++ g++; do
    command -v "$compiler" >/dev/null || continue
    echo "#include <$1>" | "$compiler" -E -x c++ - >/dev/null 2>&1
    return
  done
  return 1
}

# Lines "PACKAGES PROBE" of what is not there. A program that was put there by other means counts. With
# "preferred", g++ does not stand in for clang, which makes the faster kernels.
missing_on_debian() {
  while read -r packages probe; do
    found=
    for package in $(echo "$packages" | tr '|' ' '); do
      if [ "$1" = preferred ] && [ "$package" = g++ ] && [ "$packages" != g++ ]; then continue; fi
      has_package "$package" && found=yes
    done
    if [ -z "$found" ]; then
      case $probe in
        program:c++ | program:pip3) ;;
        program:*) has_program "${probe#program:}" && found=yes ;;
      esac
    fi
    [ -n "$found" ] || echo "$packages $probe"
  done
}

missing_elsewhere() {
  while read -r packages probe; do
    case $probe in
      program:*) has_program "${probe#program:}" || echo "$packages $probe" ;;
      header:*) has_header "${probe#header:}" || echo "$packages $probe" ;;
    esac
  done
}

run_as_root=
choose_root() {
  if [ "$(id -u)" = 0 ]; then
    run_as_root='env'
  elif ! command -v sudo >/dev/null; then
    return 1
  elif sudo -n true 2>/dev/null; then
    run_as_root="sudo -n env"
  elif [ -t 0 ] && [ -t 2 ]; then
    say "sudo may ask for your password"
    run_as_root="sudo env"
  else
    return 1
  fi
}

apt() {
  # shellcheck disable=SC2086 # run_as_root is a command with its arguments
  $run_as_root DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" >>"$log" 2>&1 </dev/null
}

# Of each line's alternatives the first that apt knows.
choose_packages() {
  while read -r packages probe; do
    chosen=
    for package in $(echo "$packages" | tr '|' ' '); do
      if [ -z "$chosen" ] && apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]'; then
        chosen=$package
      fi
    done
    echo "${chosen:-${packages%%|*}}"
  done
}

first_names() { sed 's/[| ].*//' | tr '\n' ' ' | sed 's/ $//'; }

install_missing() {
  missing=$1
  log=$(mktemp) || return 1
  trap 'rm -f "$log"' EXIT
  note "installing with apt-get: $(echo "$missing" | first_names)"
  # The package lists of a fresh machine or container are empty, and old ones name versions that are gone.
  chosen=$(echo "$missing" | choose_packages)
  # shellcheck disable=SC2086 # a list of packages
  if ! { apt-cache policy cmake 2>/dev/null | grep -q 'Candidate: [^(]' && apt install --no-install-recommends $chosen; }; then
    apt update
    chosen=$(echo "$missing" | choose_packages)
    # shellcheck disable=SC2086
    if ! apt install --no-install-recommends $chosen; then
      say "apt-get could not install: $(echo "$chosen" | tr '\n' ' ')"
      tail -n 15 "$log" >&2
      return 1
    fi
  fi
}

if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  # ":any" qualifiers and architectures do not matter here; only packages that are fully installed count.
  installed=" $(dpkg-query -W -f='${db:Status-Abbrev}${Package} \n' 2>/dev/null | sed -n 's/^ii *//p' | tr -d '\n')"
  missing=$(wanted "$@" | missing_on_debian preferred)
  [ -z "$missing" ] && exit 0
  if choose_root; then
    install_missing "$missing"
    exit
  fi
  missing=$(wanted "$@" | missing_on_debian any)
  [ -z "$missing" ] && exit 0
  say "these packages are missing and installing them needs root; please run:"
  say "  apt-get install $(echo "$missing" | choose_packages | tr '\n' ' ')"
  exit 1
fi

missing=$(wanted "$@" | missing_elsewhere)
[ -z "$missing" ] && exit 0
say "these are missing (Debian's package names, and what was looked for); please install them:"
echo "$missing" | while read -r packages probe; do say "  ${packages%%|*} (${probe#*:})"; done
exit 1
