#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes kernels in small ways, one at a time, and asks whether their tests notice.

    python3 tests/support/simt/mutate.py build masking_kernels_test row_kernels.cpp token_rows.cuh
        [--every 1] [--jobs 2]

Prints each change that no test noticed (some change nothing that a test should see: read them), and the
share that was noticed. A change that does not compile does not count.
"""
import argparse
import concurrent.futures
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

KERNELS = pathlib.Path("include/pixmim/detail/cuda/kernels")

# What is looked for in a line of code, and what stands there instead.
CHANGES = [
    (r"synchronize_block\(\);", ""),
    (r"synchronize_block\(\);", "synchronize_warp();"),
    (r"synchronize_warp\(\);", ""),
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r" != ", " == "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " + "),
    (r" / ", " * "),
    (r" % ", " / "),
    (r" << ", " >> "),
    (r" >> ", " << "),
    (r" \+= ", " -= "),
    (r" \^ ", " | "),
    (r" & ", " | "),
    (r" \| ", " & "),
    (r"\? (.+?) : (.+?)(?=[;,)])", r"? \2 : \1"),
    (r"(?<![\w.])(\d+)(?![\w.])", lambda match: str(int(match[1]) + 1)),
    (r"0x([0-9A-Fa-f]+)", lambda match: hex(int(match[1], 16) ^ 4)),
]
NO_CODE = re.compile(r"^\s*(//|#|$|template\b|PIXMIM_KERNEL)")


def mutants(text):
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if NO_CODE.match(line):
            continue
        code = line.split("//")[0]
        for pattern, replacement in CHANGES:
            for match in re.finditer(pattern, code):
                changed = code[: match.start()] + match.expand(replacement) + code[match.end():] \
                    if isinstance(replacement, str) \
                    else code[: match.start()] + replacement(match) + code[match.end():]
                yield number + 1, line.strip(), changed.strip(), "\n".join(
                    lines[:number] + [changed] + lines[number + 1:])


def commands(build, program, source):
    listed = subprocess.run(["ninja", "-C", build, "-t", "commands", program], check=True,
                            capture_output=True, text=True).stdout.splitlines()
    listed = [line for line in listed if not line.startswith("ninja:")]
    compile_command = next(line for line in listed if line.endswith(source))
    link = next(line for line in reversed(listed) if f"-o tests/{program}" in line)
    return compile_command, link


def judge(build, compile_command, link, source, program, kernel, text, seconds):
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        copies = place / "include/pixmim/detail/cuda/kernels"
        shutil.copytree(KERNELS, copies)
        (copies / kernel).write_text(text)
        new_object = place / "mutant.o"
        words = shlex.split(compile_command)
        if "ccache" in words[0]:
            words = words[1:]
        old_object = words[words.index("-o") + 1]
        words[words.index("-o") + 1] = str(new_object)
        words[words.index("-MF") + 1] = str(place / "mutant.d")
        words.insert(1, f"-I{place / 'include'}")
        if subprocess.run(words, cwd=build, capture_output=True).returncode != 0:
            return "does not compile"
        linked = link.replace(old_object, str(new_object))
        linked = linked.replace(f"-o tests/{program}", f"-o {place / 'mutant'}")
        subprocess.run(linked, cwd=build, shell=True, check=True, capture_output=True)
        try:
            ran = subprocess.run([place / "mutant", "--abort"], capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return "noticed"
        return "noticed" if ran.returncode != 0 else "not noticed"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("program")
    parser.add_argument("source")
    parser.add_argument("kernel")
    parser.add_argument("--every", type=int, default=1, help="take one change of so many")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="that the tests may take")
    arguments = parser.parse_args()
    compile_command, link = commands(arguments.build, arguments.program, arguments.source)
    chosen = list(mutants((KERNELS / arguments.kernel).read_text()))[:: arguments.every]
    counts = {"noticed": 0, "not noticed": 0, "does not compile": 0}
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = pool.map(
            lambda mutant: judge(arguments.build, compile_command, link, arguments.source,
                                 arguments.program, arguments.kernel, mutant[3], arguments.seconds),
            chosen)
        for (line, before, after, _), result in zip(chosen, results):
            counts[result] += 1
            if result == "not noticed":
                print(f"{arguments.kernel}:{line}: not noticed\n  - {before}\n  + {after}", flush=True)
    tried = counts["noticed"] + counts["not noticed"]
    print(f"{counts['noticed']} of {tried} noticed ({100 * counts['noticed'] / max(tried, 1):.0f} %); "
          f"{counts['does not compile']} do not compile")


if __name__ == "__main__":
    main()
