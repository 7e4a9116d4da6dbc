#!/usr/bin/env python3
# selftest.py: a lint that finds nothing proves nothing: here each one is shown a small tree with a planted violation that it must find,
# and one without, on which it must keep quiet. Called by ctest (label lint); the trees live in a temporary folder.
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OPEN = "/* x.c: a planted file\n * of the self-test. */\n"
CLEAN = {
    "README.md": "# Spate\n",
    "src/base/x.c": OPEN + "#include \"base/x.h\"\n\nint x(void)\n{\n    return 0;\n}\n",
    "src/base/x.h": OPEN.replace("x.c", "x.h") + "int x(void);\n",
    "src/ring/ring.h": "/* ring.h: the table\n *\n * E1  commit: release -> poll: acquire\n */\n",
    "src/ring/ring.c": "/* ring.c: both ends\n * of an edge. */\n"
    + "void a(void)\n{\n    atomic_store_explicit(&x, 1, memory_order_release); /* E1 */\n}\n"
    + "\nvoid b(void)\n{\n    /* E1 */\n    (void)atomic_load_explicit(&x, memory_order_acquire);\n"
    + "    /* relaxed: only a hint */\n    (void)atomic_load_explicit(&x, memory_order_relaxed);\n"
    + "    __asm__ volatile(\"\"); /* volatile is fine in a comment */\n}\n",
    "tests/lint/y.sh": "#!/bin/bash\n# y.sh: a planted script\n# of the self-test\n",
}
ATOMIC = "void c(void)\n{\n    %s\n}\n"

# lint, file planted into the clean tree, its content, what the lint has to say
PLANTED = [
    ("layering.py", "src/ring/x.c", OPEN + '#include "shm/map.h"\n', "shm is above it"),
    ("layering.py", "src/layout/x.c", OPEN + '#include "ring/ring.h"\n', "ring is above it"),
    ("layering.py", "src/shm/x.c", OPEN + '#include "bus/bus.h"\n', "bus is above it"),
    ("layering.py", "src/bus/x.c", OPEN + '#include "tools/x.h"\n', "tools is above it"),
    ("layering.py", "src/bus/x.c", OPEN + '#include "../shm/x.h"\n', "not through ../"),
    ("layering.py", "src/odd/x.c", OPEN + '#include "base/x.h"\n', "not in the order"),
    ("layering.py", "tools/x.c", OPEN + '#include "daemon/x.h"\n', "daemon is above it"),
    ("layering.py", "bench/x.c", OPEN + '#include "daemon/x.h"\n', "daemon is above it"),
    ("layering.py", "include/spate/x.h", OPEN + '#include "base/x.h"\n', "not installed"),
    ("memory_order.py", "src/shm/x.c", OPEN + ATOMIC % "atomic_store_explicit(&x, 1, memory_order_release);", "cites no edge"),
    ("memory_order.py", "src/shm/x.c", OPEN + ATOMIC % "/* E1 */\n\n\n\n    atomic_thread_fence(memory_order_seq_cst);", "cites no edge"),
    ("memory_order.py", "src/shm/x.c", OPEN + ATOMIC % "(void)atomic_load_explicit(&x, memory_order_acquire); /* E7 */", "cites E7"),
    ("memory_order.py", "src/shm/x.c", OPEN + ATOMIC % "(void)atomic_load_explicit(&x, memory_order_relaxed);", "without a reason"),
    ("memory_order.py", "src/shm/x.c", OPEN + ATOMIC % "(void)atomic_load(&x);", "without an explicit order"),
    ("memory_order.py", "src/ring/ring.h", CLEAN["src/ring/ring.h"].replace(" */", " * E2  take -> give */"), "E2 is cited 0"),
    ("opening.py", "src/base/y.c", "int y;\n", "does not open"),
    ("opening.py", "src/base/y.c", "/* y.c: one line */\nint y;\n", "at least two lines"),
    ("opening.py", "tests/z.sh", "#!/bin/bash\necho\n", "does not open"),
    ("opening.py", "tools/z.py", "#!/usr/bin/env python3\n# z.py: one line\nprint()\n", "at least two lines"),
    ("opening.py", "src/base/y.c", OPEN + "int y;\n", "file's name"),
    ("size.py", "src/base/y.c", OPEN + "int y;\n" * 800, "more than 800"),
    ("size.py", "tools/y.c", OPEN + "int y(void)\n{\n" + "    y();\n" * 69 + "}\n", "more than 70"),
    ("text.py", "src/base/y.c", OPEN + "static volatile int y;\n", "volatile"),
    ("text.py", "src/base/y.c", OPEN + "\tint y;\n", "a tab"),
    ("text.py", "src/base/y.c", OPEN + "int y; \n", "trailing space"),
    ("text.py", "tests/z.sh", "# " + "x" * 139 + "\n", "141 columns"),
    ("text.py", "README.md", "see /" + "work/shared\n", "absolute path"),
    ("text.py", "tests/z.sh", "cd /" + "root\n", "absolute path"),
    ("toplevel.py", "NOTES.txt", "", "NOTES.txt"),
    ("toplevel.py", "scripts/x.sh", "", "scripts"),
    ("format.sh", "src/base/y.c", OPEN + "int y( void ) { return 0; }\n", "not formatted"),
]


def run(lint, tree):
    interpreter = "bash" if lint.endswith(".sh") else sys.executable
    return subprocess.run([interpreter, os.path.join(HERE, lint), tree], capture_output=True, text=True)


def plant(tree, path, content):
    os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
    with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
        file.write(content)


def clean_tree(folder):
    tree = tempfile.mkdtemp(dir=folder)
    for path, content in CLEAN.items():
        plant(tree, path, content)
    shutil.copy(os.path.join(HERE, "..", "..", ".clang-format"), tree)
    return tree


def main():
    failures, skipped = [], set()
    with tempfile.TemporaryDirectory() as folder:
        for lint in sorted({case[0] for case in PLANTED}):
            result = run(lint, clean_tree(folder))
            if result.returncode == 77:
                skipped.add(lint)
                print(f"{lint}: not tested: {result.stdout.strip()}")
            elif result.returncode != 0:
                failures.append(f"{lint}: complains about a clean tree: {result.stdout}{result.stderr}")
        for lint, path, content, message in PLANTED:
            if lint in skipped:
                continue
            tree = clean_tree(folder)
            plant(tree, path, content)
            result = run(lint, tree)
            if result.returncode != 1 or message not in result.stdout:
                failures.append(f"{lint}: does not find {path} ({message}): {result.stdout}{result.stderr}")
        unproven = {name for name in os.listdir(HERE) if name.endswith((".py", ".sh"))} - {case[0] for case in PLANTED} - {"selftest.py"}
        failures += [f"{name}: has no planted violation here" for name in sorted(unproven)]
    for failure in failures:
        print(failure)
    print(f"{len(PLANTED)} planted violations, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
