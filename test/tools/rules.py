"""House rules that a compiler does not check. From the top of the tree:

    python3 test/tools/rules.py             one line per breach; exit 1 if any

  - Memory is asked for and given back in src/base/mem.c only, so that all of it is counted.
  - A function has at most 60 lines between its braces. A longer one needs a comment
    right above it that contains "long:" and the reason.
  - A header's guard is its path. A file has at most 500 lines, or "long:" in its
    first comment.
  - Text files have no trailing blanks, no tabs (but for Makefiles), no carriage
    returns, and end with a line feed.
"""
import pathlib
import re
import sys

MOST_LINES = 60
MOST_FILE_LINES = 500
RAW_MEMORY = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|free|strdup"
    r"|strndup|asprintf|vasprintf|getline|getdelim|open_memstream|alloca)\s*\(")
COUNTED_IN = "src/base/mem.c"
TEXT = {".c", ".h", ".py", ".sh", ".mjs", ".js", ".md", ".txt", ".cmake", ".yaml", ".yml", ""}
SKIPPED = {"node_modules", "corpus", "build", ".dev", ".git", "__pycache__"}


def blank_out(text):
    """The code with comments and literals blanked, line for line and column for column."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def raw_memory(file, code):
    if str(file) == COUNTED_IN or file.parts[0] != "src":
        return
    for number, line in enumerate(code, 1):
        for found in RAW_MEMORY.finditer(line):
            yield number, f"{found[1]}() is for {COUNTED_IN} only; use mem_new() and its kin"


def comment_above(lines, at):
    """The comment that ends right above the definition whose opening brace is in line `at`."""
    while at > 0 and lines[at - 1].strip() and not lines[at - 1].rstrip().endswith((";", "}", "*/")):
        at -= 1
    start = at
    while start > 0 and lines[start - 1].strip() and lines[start - 1].lstrip().startswith(("/*", "*")):
        start -= 1
    return " ".join(lines[start:at])


def long_functions(lines, code):
    """clang-format puts the braces of functions, and of nothing else, alone in column one."""
    opened = None
    for number, line in enumerate(code):
        if line.rstrip() == "{":
            opened = number
        elif line.rstrip() == "}" and opened is not None:
            size = number - opened - 1
            if size > MOST_LINES and "long:" not in comment_above(lines, opened):
                yield opened + 1, f"a function of {size} lines (at most {MOST_LINES}, or say why: long: ...)"
            opened = None


def long_file(lines, text):
    story = text[:text.find("*/")] if text.startswith("/*") else ""
    if len(lines) > MOST_FILE_LINES and "long:" not in story:
        yield len(lines), f"a file of {len(lines)} lines (at most {MOST_FILE_LINES}, or say why: long: ...)"


def guard(file, lines):
    path = str(file).removeprefix("src/")
    want = re.sub(r"[^A-Z0-9]", "_", path.upper())
    found = [m for line in lines if (m := re.match(r"#ifndef\s+(\w+)", line))]
    if not found or found[0][1] != want:
        yield 1, f"the guard should be {want}"


def untidy(file, text):
    for number, line in enumerate(text.split("\n"), 1):
        if "\r" in line:
            yield number, "a carriage return"
        elif line != line.rstrip():
            yield number, "blanks at the end of the line"
        elif "\t" in line and file.name != "Makefile":
            yield number, "a tab"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no line feed at the end of the file"


def text_files():
    roots = [p for p in sorted(pathlib.Path(".").iterdir()) if p.name not in SKIPPED]
    for root in roots:
        for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file.is_file() and file.suffix in TEXT and not SKIPPED & set(file.parts):
                yield file


def breaches(file, text):
    yield from untidy(file, text)
    if file.suffix in (".c", ".h"):
        lines = text.splitlines()
        code = blank_out(text).splitlines()
        yield from raw_memory(file, code)
        yield from long_functions(lines, code)
        if file.parts[0] == "src":
            yield from long_file(lines, text)
            yield from guard(file, lines) if file.suffix == ".h" else ()


def main():
    found = 0
    for file in text_files():
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError:
            continue                          # test data, not text
        for number, why in breaches(file, text):
            print(f"{file}:{number}: {why}")
            found += 1
    return 1 if found else 0


sys.exit(main())
