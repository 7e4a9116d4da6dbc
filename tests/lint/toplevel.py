#!/usr/bin/env python3
# toplevel.py: the top level holds exactly what a new reader expects there, and nothing else: the names below and dot files.
# build/ and whatever else git ignores does not count.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sources

ALLOWED = {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "src", "include", "daemon", "tools", "bench", "tests"}


def main():
    names = {path.split(os.sep)[0] for path in sources.all_files(sources.root())}
    sources.finish([f"{name}: does not belong on the top level" for name in sorted(names - ALLOWED) if not name.startswith(".")])


main()
