"""The layout of C files, as clang-format wants it (see .clang-format). From the top of the tree:

    python3 test/tools/layout.py            one line per place that differs; exit 1 if any
    python3 test/tools/layout.py --fix      puts those places right and leaves the rest alone

Three things are left to the hand that writes them: the column where a comment after
code begins, the column after a one-line case label, and the inside of macros.
clang-format 14 knows no way to keep such columns, and 14 and 19 disagree about
braces in macros.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

FOLDERS = ("src", "test", "bench")


def c_files():
    for folder in FOLDERS:
        for file in sorted(pathlib.Path(folder).rglob("*.[ch]")):
            if "node_modules" not in file.parts:
                yield file


def without_columns(line):
    line = re.sub(r"\s+(/\*|\*/)", r" \1", line)
    return re.sub(r"^(\s*(?:case\b.*?|default)):\s+(?=\S)", r"\1: ", line)


def units(text):
    """Lines, each with what is compared of it; a macro with all its lines is one unit."""
    found, lines = [], text.splitlines(keepends=True)
    while lines:
        n = 1
        if macro := re.match(r"\s*#\s*define\s+\w+", lines[0]):
            while n < len(lines) and lines[n - 1].rstrip().endswith("\\"):
                n += 1
        taken, lines = lines[:n], lines[n:]
        found.append((" ".join(macro[0].split()) if macro else without_columns(taken[0]), taken))
    return found


def compare(file, fix):
    """The findings in one file; with fix, the file is written anew instead."""
    text = file.read_text()
    wanted = subprocess.run(["clang-format", str(file)], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    ours, theirs = units(text), units(wanted)
    findings, result, line = [], [], 1
    matcher = difflib.SequenceMatcher(None, [u[0] for u in ours], [u[0] for u in theirs], False)
    for what, a, b, c, d in matcher.get_opcodes():
        old = [text for unit in ours[a:b] for text in unit[1]]
        new = [text for unit in theirs[c:d] for text in unit[1]]
        result += old if what == "equal" else new
        if what != "equal" and not fix:
            wish = new[0].strip() if new else "nothing here"
            findings.append(f"{file}:{line}: layout, wanted: {wish}")
        line += len(old)
    if fix and "".join(result) != text:
        file.write_text("".join(result))
        findings.append(f"{file}: put right")
    return findings


def main():
    fix = "--fix" in sys.argv[1:]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = sum(pool.map(lambda file: compare(file, fix), c_files()), [])
    for finding in findings:
        print(finding)
    return 1 if findings and not fix else 0


sys.exit(main())
