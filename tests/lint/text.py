#!/usr/bin/env python3
# text.py: what no line may hold: `volatile` (atomics say what is meant; `__asm__ volatile` is allowed), tabs, more than 140 columns,
# trailing spaces, absolute paths of somebody's workplace. Looks at sources, scripts and build files; corpora and captured bytes are free.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sources

COLUMNS_MAX = 140
SUFFIXES = (".c", ".h", ".cpp", ".sh", ".py", ".md", ".json", ".cmake", ".in", ".map", ".pml", "CMakeLists.txt", os.sep + "run")
PLACES = re.compile(r"(?<![\w.$}])/(work|root)(/|\b)")


def main():
    tree = sources.root()
    violations = []
    for path in sources.all_files(tree):
        if not path.endswith(SUFFIXES) or "corpus" in path.split(os.sep):
            continue
        text = sources.read(tree, path)
        code = sources.split(text)[0] if path.endswith((".c", ".h", ".cpp")) else []
        for number, line in enumerate(text.split("\n"), 1):
            found = []
            if "\t" in line:
                found.append("a tab")
            if line != line.rstrip():
                found.append("trailing space")
            if len(line) > COLUMNS_MAX:
                found.append(f"{len(line)} columns, more than {COLUMNS_MAX}")
            if PLACES.search(line):
                found.append("an absolute path of somebody's workplace")
            if code and re.search(r"\bvolatile\b", re.sub(r"__asm__\s+volatile", "", code[number - 1])):
                found.append("volatile: use _Atomic with an explicit order")
            violations += [f"{path}:{number}: {what}" for what in found]
    sources.finish(violations)


main()
