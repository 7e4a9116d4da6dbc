#!/usr/bin/env python3
# opening.py: every source file and script opens with a comment of at least two lines that says what it is, what it owns, who calls it.
# The lint can only see that the comment is there and names the file; what it says is for the reader to judge.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sources


def opening(path, lines):
    """The lines of the comment that the file opens with."""
    if path.endswith((".c", ".h")):
        if not lines[0].startswith("/*"):
            return []
        end = next((i for i, line in enumerate(lines) if "*/" in line), 0)
        return lines[: end + 1]
    mark = "//" if path.endswith(".cpp") else "#"
    if lines[0].startswith("#!"):
        lines = lines[1:]
    count = next((i for i, line in enumerate(lines) if not line.startswith(mark)), len(lines))
    return lines[:count]


def main():
    tree = sources.root()
    violations = []
    for path in sources.files(tree, suffixes=(".c", ".h", ".cpp", ".sh", ".py", os.sep + "run")):
        comment = opening(path, sources.read(tree, path).split("\n"))
        if len(comment) < 2:
            violations.append(f"{path}:1: does not open with a comment of at least two lines (what it is, what it owns, who calls it)")
        elif os.path.basename(path) not in comment[0]:
            violations.append(f"{path}:1: the opening comment does not begin with the file's name")
    sources.finish(violations)


main()
