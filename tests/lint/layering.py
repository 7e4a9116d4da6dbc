#!/usr/bin/env python3
# layering.py: who may include whom. base < layout < ring < shm < log < bus: a lower module never includes a higher one (so ring never
# includes shm); src includes nothing of tools, bench, daemon or tests; tools and bench include nothing of daemon; public headers include
# only <...>, and only public ones of ours.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sources

MODULES = ["base", "layout", "ring", "shm", "log", "bus"]
FORBIDDEN = {
    "src": ("tools", "bench", "daemon", "tests"),
    "include": ("src", "tools", "bench", "daemon", "tests"),
    "tools": ("daemon", "tests", "bench"),
    "bench": ("daemon", "tests", "tools"),
    "daemon": ("tools", "bench", "tests"),
}


def complaint(tree, path, quote, target):
    parts = path.split(os.sep)
    if ".." in target.split("/"):
        return "include by module path (\"ring/ring.h\"), not through ../"
    first = target.split("/")[0] if "/" in target else None
    if parts[0] == "include" and (quote == '"' or first in MODULES):
        return f"a public header includes {target}, which is not installed"
    if first in FORBIDDEN.get(parts[0], ()):
        return f"{parts[0]} includes {target}: {first} is above it"
    if parts[0] == "src" and len(parts) > 2 and first in MODULES:
        if parts[1] not in MODULES:
            return f"module {parts[1]} is not in the order {' < '.join(MODULES)}"
        if MODULES.index(first) > MODULES.index(parts[1]):
            return f"{parts[1]} includes {target}: {first} is above it"
    return None


def main():
    tree = sources.root()
    violations = []
    for path in sources.files(tree, suffixes=(".c", ".h", ".cpp")):
        text = sources.read(tree, path)
        code, _ = sources.split(text)
        for number, line in enumerate(text.split("\n"), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match and "include" in code[number - 1]:
                what = complaint(tree, path, *match.groups())
                if what:
                    violations.append(f"{path}:{number}: {what}")
    sources.finish(violations)


main()
