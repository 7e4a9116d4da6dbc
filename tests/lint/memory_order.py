#!/usr/bin/env python3
# memory_order.py: every ordered access in src/ cites an edge of the table in src/ring/ring.h, every edge has both ends, and every relaxed
# access says why it suffices.
#
# The table: lines ` * E<n>  name: ...` in one comment of src/ring/ring.h. An acquire, release, acq_rel or seq_cst needs `E<n>` in a comment
# on its line or one of the three above; an edge needs two citations outside the table's comment; a relaxed access needs `relaxed:` in a
# comment on its line or one of the twelve above (so one reason can stand for a small function). Atomics without an explicit order are
# seq_cst by default and not allowed.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sources

TABLE = os.path.join("src", "ring", "ring.h")
ENTRY = re.compile(r"^\s*\*\s*E(\d+)\s+\S")
ORDERED = re.compile(r"\bmemory_order_(acquire|release|acq_rel|seq_cst|consume)\b|\b__ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST|CONSUME)\b")
RELAXED = re.compile(r"\bmemory_order_relaxed\b|\b__ATOMIC_RELAXED\b")
IMPLICIT = re.compile(
    r"\batomic_(load|store|exchange|compare_exchange_strong|compare_exchange_weak|fetch_add|fetch_sub|fetch_or|fetch_and|fetch_xor"
    r"|flag_test_and_set|flag_clear)\s*\(|\b__sync_\w+\s*\("
)
CITATION = re.compile(r"\bE(\d+)\b")


def read_table(comments):
    """Edges (number -> line) and the lines of the comment that holds the table, which do not count as citations."""
    edges = {}
    for number, line in enumerate(comments):
        match = ENTRY.match(line)
        if match:
            edges.setdefault(int(match.group(1)), number)
    if not edges:
        return edges, range(0)
    first, last = min(edges.values()), max(edges.values())
    while first > 0 and "/*" not in comments[first]:
        first -= 1
    while last < len(comments) - 1 and "*/" not in comments[last]:
        last += 1
    return edges, range(first, last + 1)


def check_file(path, code, comments, edges, violations):
    for number, line in enumerate(code):
        near = " ".join(comments[max(0, number - 3) : number + 1])
        far = " ".join(comments[max(0, number - 12) : number + 1])
        if IMPLICIT.search(line):
            violations.append(f"{path}:{number + 1}: an atomic without an explicit order (use the _explicit form)")
        if RELAXED.search(line) and "relaxed:" not in far:
            violations.append(f"{path}:{number + 1}: a relaxed access without a reason (a comment with `relaxed:`)")
        if ORDERED.search(line):
            cited = [int(edge) for edge in CITATION.findall(near)]
            if not cited:
                violations.append(f"{path}:{number + 1}: an ordered access that cites no edge E<n> of {TABLE}")
            for edge in sorted(set(cited) - set(edges)):
                violations.append(f"{path}:{number + 1}: cites E{edge}, which is not in the table of {TABLE}")


def main():
    tree = sources.root()
    parts = {path: sources.split(sources.read(tree, path)) for path in sources.files(tree, ("src",))}
    edges, table_lines = read_table(parts[TABLE][1]) if TABLE in parts else ({}, range(0))
    violations, citations = [], dict.fromkeys(edges, 0)
    for path, (code, comments) in parts.items():
        check_file(path, code, comments, edges, violations)
        for number, line in enumerate(comments):
            if path == TABLE and number in table_lines:
                continue
            for edge in CITATION.findall(line):
                if int(edge) in citations:
                    citations[int(edge)] += 1
    for edge, count in citations.items():
        if count < 2:
            violations.append(f"{TABLE}:{edges[edge] + 1}: E{edge} is cited {count} times: both of its ends have to cite it")
    sources.finish(violations)


main()
