#!/usr/bin/env bash
# setup.sh [dev]: brings this machine to where Keydesk can be built, and with 'dev' to where `make dev` works. Run it as often as you
# like: what is there is left alone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

step() { printf 'setup: %-18s %s\n' "$1" "$2"; }

CARGO_LEPTOS=0.3.10
WASM_BINDGEN=$(awk '$0 == "name = \"wasm-bindgen\"" { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)
[ -n "$WASM_BINDGEN" ] || die "Cargo.lock names no wasm-bindgen: restore Cargo.lock from the repository"
RUST=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# 1. A C compiler: the database and the cryptography are built from C.
have cc || apt_install "A C compiler" build-essential
step "C compiler" "$(command -v cc)"

# 2. Rust.
have cargo && have rustc || die "Rust is missing: install it from https://rustup.rs, open a new shell, then run this again"
rust_now=$(rustc --version | cut -d' ' -f2)
at_least "$RUST" "$rust_now" || die "Rust $rust_now is too old, $RUST or newer is needed: type 'rustup update', then run this again"
step rust "$rust_now"

# 3. The target for what runs in the browser.
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib" ]; then
    have rustup || die "the Rust target wasm32-unknown-unknown is missing: install Rust from https://rustup.rs, then run this again"
    step "wasm target" "adding wasm32-unknown-unknown with rustup (seconds)"
    quietly "rustup target add" rustup target add wasm32-unknown-unknown || die "rustup could not add the target wasm32-unknown-unknown"
fi
step "wasm target" "wasm32-unknown-unknown"

# 4. Node, for the browser's files and tests.
have node && have npm || die "Node is missing: install Node 20 or newer with npm (https://nodejs.org), then run this again"
node_now=$(node --version | tr -d v)
at_least 20 "$node_now" || die "Node $node_now is too old: install Node 20 or newer with npm (https://nodejs.org), then run this again"
step node "$node_now"

# 5. Tools built from source. They run for seconds, so they are built fast, not optimised.
cargo_tool() { # crate, version, command that prints its version, how long it takes, cargo's further arguments
    local crate=$1 version=$2 program=$3 long=$4 now=none
    shift 4
    [ -x "$TOOLS/bin/$program" ] && now=$("$TOOLS/bin/$program" --version 2>/dev/null | awk '{ print $NF; exit }')
    if [ "$now" != "$version" ]; then
        step "$crate" "building $version into $TOOLS ($long, once)"
        CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 CARGO_PROFILE_RELEASE_DEBUG=0 \
            quietly "$crate" cargo install --locked --force --root "$TOOLS" "$crate@$version" "$@" ||
            die "$crate $version could not be built: read the lines above, then run this again"
    fi
    step "$crate" "$version"
}
cargo_tool wasm-bindgen-cli "$WASM_BINDGEN" wasm-bindgen "about 1 minute"
[ "${1:-}" != dev ] || cargo_tool cargo-leptos "$CARGO_LEPTOS" cargo-leptos "about 4 minutes" --features no_downloads

# 6. wasm-opt, esbuild and Lightning CSS, from npm.
if ! npm_ready . || [ ! -x node_modules/.bin/wasm-opt ]; then
    step "npm packages" "npm ci (seconds)"
    quietly "npm ci" npm_install . || die "npm ci failed: read the lines above, then run this again"
fi
step "npm packages" "$(node -p 'Object.entries(require("./package.json").devDependencies).map((tool) => tool.join(" ")).join(", ")')"

# The program embeds this folder: it has to exist before the first build.
mkdir -p target/site
