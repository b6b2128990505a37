#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes kernels in small ways, one at a time, and asks whether their tests notice.

    python3 tests/support/simt/mutate.py build masking_kernels_test row_kernels.cpp token_rows.cuh
        [--every 4 --seed 0] [--lines 10-40] [--jobs 2]

`build` is a build folder of CMake and Ninja; the program must have been built there, from the source (and
others) that includes the kernel. A mutant is noticed if a test case fails, or if the tests take five times
their time and more. Prints each mutant that no test noticed (some change nothing that a test could see:
read them), and the share that was noticed. A mutant that does not compile, or that compiles to the same
machine code as the kernel does, does not count.
"""
import argparse
import collections
import concurrent.futures
import math
import pathlib
import random
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

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
    (r" -= ", " += "),
    (r" \*= ", " += "),
    (r" /= ", " -= "),
    (r" \^ ", " | "),
    (r" & ", " | "),
    (r" \| ", " & "),
    (r"\? (.+?) : (.+?)(?=[;,)])", r"? \2 : \1"),
    (r"(?<![\w.])(\d+)(?![\w.])", lambda match: str(int(match[1]) + 1)),
    (r"(?<![\w.])(\d+)(?=\.\d|e)", lambda match: str(int(match[1]) + 1)),
    (r"0x([0-9A-Fa-f]+)", lambda match: hex(int(match[1], 16) ^ 4)),
]
NO_CODE = re.compile(r"^\s*(//|#|$|template\b|PIXMIM_KERNEL)")

# `text` is the whole file.
Mutant = collections.namedtuple("Mutant", "line before after text")


def mutants(text):
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if NO_CODE.match(line):
            continue
        code = line.split("//")[0]
        for pattern, replacement in CHANGES:
            for match in re.finditer(pattern, code):
                new = replacement(match) if callable(replacement) else match.expand(replacement)
                changed = code[: match.start()] + new + code[match.end():]
                yield Mutant(number + 1, line.strip(), changed.strip(),
                             "\n".join(lines[:number] + [changed] + lines[number + 1:]))


def seconds_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Program:
    """A program of tests, and how it is built with another kernel."""

    def __init__(self, build, name, source, kernel):
        self.build = build
        self.name = name
        self.kernel = kernel
        listed = subprocess.run(["ninja", "-C", build, "-t", "commands", name], check=True,
                                capture_output=True, text=True).stdout.splitlines()
        compile_command = next(line for line in listed if line.endswith("/" + source))
        self.words = shlex.split(compile_command)
        if "ccache" in self.words[0]:
            self.words = self.words[1:]
        self.link = next(line for line in reversed(listed) if f"-o tests/{name}" in line)
        original = (KERNELS / kernel).read_text()
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            if not self.compile(place, original):
                sys.exit(f"{source} does not compile")
            self.code = self.machine_code(place)
            self.link_mutant(place)
            before = seconds_of_children()
            if not self.passes(place, "unlimited"):
                sys.exit(f"the tests of {name} fail without a mutant")
            self.seconds = 5 * math.ceil(seconds_of_children() - before)

    def compile(self, place, text):
        copies = place / "include/pixmim/detail/cuda/kernels"
        shutil.copytree(KERNELS, copies)
        (copies / self.kernel).write_text(text)
        # Optimised less it compiles in less time, and the tests take as long.
        words = ["-O1" if word == "-O3" else word for word in self.words]
        words[words.index("-o") + 1] = str(place / "mutant.o")
        words[words.index("-MF") + 1] = str(place / "mutant.d")
        words[1:1] = [f"-I{place / 'include'}", "-w"]
        return subprocess.run(words, cwd=self.build, capture_output=True).returncode == 0

    def machine_code(self, place):
        # Kernels' paths stand in it, for the executor's messages. All temporary ones are of one length.
        return (place / "mutant.o").read_bytes().replace(bytes(place), b"")

    def link_mutant(self, place):
        linked = self.link.replace(self.words[self.words.index("-o") + 1], str(place / "mutant.o"))
        linked = linked.replace(f"-o tests/{self.name}", f"-o {place / 'mutant'}")
        subprocess.run(linked, cwd=self.build, shell=True, check=True, capture_output=True)

    def passes(self, place, seconds):
        """Stops at the first failure, or after so many seconds of a processor."""
        command = f'ulimit -t {seconds}; exec "$0" --abort'
        tests = subprocess.run(["sh", "-c", command, place / "mutant"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return tests.returncode == 0

    def judge(self, mutant):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            if not self.compile(place, mutant.text):
                verdict = "does not compile"
            elif self.machine_code(place) == self.code:
                verdict = "same code"
            else:
                self.link_mutant(place)
                verdict = "not noticed" if self.passes(place, self.seconds) else "noticed"
        return verdict, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("program")
    parser.add_argument("source")
    parser.add_argument("kernel")
    parser.add_argument("--every", type=int, default=1, help="take one mutant of so many, drawn")
    parser.add_argument("--seed", type=int, default=0, help="which are drawn")
    parser.add_argument("--lines", help="first-last: those of the kernel that are changed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print each mutant and its seconds")
    arguments = parser.parse_args()
    program = Program(arguments.build, arguments.program, arguments.source, arguments.kernel)
    chosen = list(mutants((KERNELS / arguments.kernel).read_text()))
    if arguments.lines:
        first, last = map(int, arguments.lines.split("-"))
        chosen = [mutant for mutant in chosen if first <= mutant.line <= last]
    drawn = random.Random(arguments.seed).sample(range(len(chosen)), len(chosen) // arguments.every)
    chosen = [chosen[i] for i in sorted(drawn)]
    counts = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for mutant, (verdict, seconds) in zip(chosen, pool.map(program.judge, chosen)):
            counts[verdict] += 1
            if verdict == "not noticed" or arguments.verbose:
                print(f"{arguments.kernel}:{mutant.line}: {verdict} ({seconds:.1f} s)\n"
                      f"  - {mutant.before}\n  + {mutant.after}", flush=True)
    tried = counts["noticed"] + counts["not noticed"]
    print(f"{arguments.kernel}: {counts['noticed']} of {tried} noticed "
          f"({100 * counts['noticed'] / max(tried, 1):.0f} %); {counts['does not compile']} do not "
          f"compile, {counts['same code']} compile to the same code")


if __name__ == "__main__":
    main()
