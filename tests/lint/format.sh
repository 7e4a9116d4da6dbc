#!/bin/bash
# format.sh: all C and C++ files are laid out as .clang-format says (nobody argues). Called by ctest (label lint), or with a tree to look
# at as its argument. To repair: clang-format -i FILE
set -euo pipefail

tree=${1:-${SPATE_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}}
formatter=$(command -v clang-format || command -v clang-format-14 || true)
if [ -z "$formatter" ]; then
    echo "skipped: clang-format is not installed (apt-get install clang-format)"
    exit 77
fi
cd "$tree"
mapfile -t files < <(find src include tools bench daemon tests \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) 2>/dev/null | sort)
bad=()
for file in "${files[@]}"; do
    "$formatter" --dry-run -Werror "$file" >/dev/null 2>&1 || bad+=("$file")
done
if [ ${#bad[@]} -gt 0 ]; then
    printf '%s: not formatted\n' "${bad[@]}"
    echo "repair with: clang-format -i ${bad[*]}"
    exit 1
fi
