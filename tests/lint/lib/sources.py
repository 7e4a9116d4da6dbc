# sources.py: what all lints share: which files there are, and which part of a C file is code and which is comment.
# Imported by tests/lint/*.py. A lint takes the tree to look at from its first argument, else from SPATE_SOURCE, else from its own place,
# prints one line per violation (file:line: what) and exits with 1 if there was any.
import os
import subprocess
import sys

FOLDERS = ("src", "include", "tools", "bench", "daemon", "tests")


def root():
    if len(sys.argv) > 1:
        return sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("SPATE_SOURCE") or os.path.normpath(os.path.join(here, "..", "..", ".."))


def all_files(tree):
    """Paths of the product's files, relative to the tree: what git tracks or would, else (a tarball) all but build/."""
    listing = ["git", "-C", tree, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        top = subprocess.run(["git", "-C", tree, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True)
        if os.path.realpath(top.stdout.strip()) == os.path.realpath(tree):
            names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
            return sorted({name for name in names if name and os.path.isfile(os.path.join(tree, name))})
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name not in (".git", "build", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, name), tree) for name in names]
    return sorted(found)


def files(tree, folders=FOLDERS, suffixes=(".c", ".h")):
    return [path for path in all_files(tree) if path.split(os.sep)[0] in folders and path.endswith(tuple(suffixes))]


def read(tree, path):
    with open(os.path.join(tree, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def split(text):
    """The text twice, each with the same lines: once with comments blanked out, once with everything else blanked out.
    Strings and character constants count as code and are blanked out in both, so that no rule trips over what they say."""
    code, comments = [], []
    i, mode = 0, "code"
    while i < len(text):
        two, one = text[i : i + 2], text[i]
        if mode == "code" and two in ("/*", "//"):
            mode = two
            code.append("  ")
            comments.append(two)
            i += 2
            continue
        if mode == "/*" and two == "*/":
            mode = "code"
            code.append("  ")
            comments.append(two)
            i += 2
            continue
        if one == "\n":
            if mode == "//":
                mode = "code"
            code.append(one)
            comments.append(one)
        elif mode in ("/*", "//"):
            code.append(" ")
            comments.append(one)
        elif mode == "code":
            if one in "\"'":
                mode = one
            code.append(one)
            comments.append(" ")
        else:  # within a string
            if one == "\\" and two != "\\\n":
                code.append("  ")
                comments.append("  ")
                i += 2
                continue
            if one == mode:
                mode = "code"
                code.append(one)
            else:
                code.append(" ")
            comments.append(" ")
        i += 1
    return "".join(code).split("\n"), "".join(comments).split("\n")


def finish(violations):
    for violation in violations:
        print(violation)
    if violations:
        print(f"{len(violations)} violations")
    sys.exit(1 if violations else 0)
