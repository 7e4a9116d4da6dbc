#!/bin/bash
# run.sh: what `cmake --install` gives must be usable from C and C++, through pkg-config and through find_package, and the shared library
# must show spate_* under version SPATE_0.1 and nothing else. Called by ctest (label install) with SPATE_BUILD and SPATE_SOURCE set.
set -euo pipefail

prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

cmake --install "$SPATE_BUILD" --prefix "$prefix" >"$prefix/install.log" || fail "cmake --install, see above"
here=$SPATE_SOURCE/tests/install
so=$(find "$prefix" -name libspate.so)
lib=$(dirname "$so")

# --- pkg-config, shared and static
export PKG_CONFIG_PATH=$lib/pkgconfig
flags=(-Wall -Wextra -Werror)
read -ra cflags < <(pkg-config --cflags spate)
read -ra libs < <(pkg-config --libs spate)
read -ra libs_static < <(pkg-config --libs --static spate | sed 's/-lspate/-Wl,-Bstatic -lspate -Wl,-Bdynamic/')
gcc "${flags[@]}" -std=c99 -pedantic "${cflags[@]}" "$here/use.c" "${libs[@]}" -o "$prefix/use-c" || fail "C through pkg-config"
g++ "${flags[@]}" -std=c++11 -pedantic "${cflags[@]}" "$here/use.cpp" "${libs[@]}" -o "$prefix/use-cpp" || fail "C++ through pkg-config"
gcc "${cflags[@]}" "$here/use.c" "${libs_static[@]}" -o "$prefix/use-static" || fail "static library through pkg-config"
for program in use-c use-cpp; do
    LD_LIBRARY_PATH=$lib "$prefix/$program" || fail "$program does not run"
done
"$prefix/use-static" || fail "use-static does not run"
readelf -d "$prefix/use-c" | grep -q 'NEEDED.*\[libspate\.so\.0\]' || fail "the soname is not libspate.so.0"

# --- find_package
cmake -S "$here" -B "$prefix/consumer" -DCMAKE_PREFIX_PATH="$prefix" >"$prefix/configure.log" 2>&1 ||
    { cat "$prefix/configure.log"; fail "find_package(Spate)"; }
cmake --build "$prefix/consumer" >"$prefix/build.log" 2>&1 || { cat "$prefix/build.log"; fail "build against spate::spate"; }
for program in use_c use_cpp use_static; do
    "$prefix/consumer/$program" || fail "$program does not run"
done

# --- exported symbols
nm -D --defined-only --with-symbol-versions "$so" | awk '{print $NF}' | grep -v '^SPATE_0\.1$' >"$prefix/symbols"
grep -q '^spate_version@@SPATE_0\.1$' "$prefix/symbols" || fail "spate_version@@SPATE_0.1 is not exported"
foreign=$(grep -v '^spate_[a-z0-9_]*@@SPATE_0\.1$' "$prefix/symbols" || true)
[ -z "$foreign" ] || fail "exported beyond spate_*@@SPATE_0.1: $foreign"

# --- every function that the headers promise is there
missing=0
while read -r name; do
    grep -q "^$name@@" "$prefix/symbols" || { echo "declared but not exported: $name" >&2; missing=1; }
done < <(sed -n 's/^SPATE_API [^(]*[ *]\(spate_[a-z0-9_]*\)(.*/\1/p' "$prefix"/include/spate/*.h)
[ "$missing" = 0 ] || fail "the library lacks functions of its headers"
echo "installed, linked four ways, $(wc -l <"$prefix/symbols") symbols exported"
