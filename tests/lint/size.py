#!/usr/bin/env python3
# size.py: a file has at most 800 lines, a function at most 70 (aim at 300-600 and 40); past that, split by message or state.
# A function is what stands between a `{` and a `}` in the first column, which is how clang-format lays functions out.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sources

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70


def main():
    tree = sources.root()
    violations = []
    for path in sources.files(tree, ("src", "tools", "daemon", "bench")):
        lines = sources.read(tree, path).splitlines()
        if len(lines) > FILE_LINES_MAX:
            violations.append(f"{path}:1: {len(lines)} lines, more than {FILE_LINES_MAX}")
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                if number - start + 1 > FUNCTION_LINES_MAX:
                    violations.append(f"{path}:{start}: a function of {number - start + 1} lines, more than {FUNCTION_LINES_MAX}")
                start = None
    sources.finish(violations)


main()
