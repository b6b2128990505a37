# SPDX-License-Identifier: Apache-2.0
"""Fails if a C++, CMake or diff block of a page is not in the file that it names.

A block follows a line `<!-- from: path -->`. Its lines must stand in that file, in this order, indentation
aside; in a diff the + lines must stand in the file, and the - lines must not. A table may follow such a line,
too: the code in its last column must stand in the file, line breaks aside.
"""

import re
import sys

failures = []
blocks = 0
for page in sys.argv[1:]:
    text = open(page).read()
    pattern = r"(<!-- from: (\S+) -->\n)?```(cpp|cmake|diff)\n(.*?)```"
    for _, path, kind, body in re.findall(pattern, text, flags=re.DOTALL):
        blocks += 1
        if not path:
            failures.append(f"{page}: a {kind} block names no file: {body.splitlines()[0]}")
            continue
        source = [line.strip() for line in open(path)]
        position = 0
        for line in body.splitlines():
            wanted = line.strip()
            if kind == "diff":
                sign, wanted = line[:1], line[1:].strip()
                if sign == "-":
                    if wanted in source:
                        failures.append(f"{page}: {path} still has: {wanted}")
                    continue
            if not wanted:
                continue
            try:
                position = source.index(wanted, position) + 1
            except ValueError:
                failures.append(f"{page}: {path} does not have, in this order: {wanted}")
                break
    tables = r"<!-- from: (\S+) -->\n(\|.*\n)\|.*\n((?:\|.*\n)+)"
    for path, _, rows in re.findall(tables, text):
        source = "".join(open(path).read().split())
        for row in rows.splitlines():
            for code in re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", row)[-2]):
                blocks += 1
                if "".join(code.split()) not in source:
                    failures.append(f"{page}: {path} does not have: {code}")
if blocks == 0:
    failures.append("no block was found")
for failure in failures:
    print("error:", failure, file=sys.stderr)
print(f"{blocks} snippets checked")
sys.exit(bool(failures))
