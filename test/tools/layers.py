"""The include law of src/: what each folder may see. From the top of the tree:

    python3 test/tools/layers.py            one line per breach; exit 1 if any

Includes go strictly downwards. Folders of one layer do not know each other, and a
library's headers are included only where the library is at home. To change the law,
change the two tables here.
"""
import pathlib
import re
import sys

SRC = pathlib.Path("src")

# Folder: the folders it may include besides itself. "." is src/ itself, which is main.c.
MAY = {
    "base": "",
    "wire": "base",
    "chat": "base",
    "net": "base wire",
    "pg": "base net",
    "provider": "base wire chat net",
    "store": "base wire chat pg",
    "tool": "base wire chat net store",
    "turn": "base chat provider store tool",
    "api": "base wire chat net store turn",
    "command": "base wire chat net pg provider store",
    "process": "base net",
    ".": "base wire chat net pg provider store tool turn api command process",
}

# Foreign headers: where each is at home. A name ending in "/" is a folder of headers.
HOME = {
    "yyjson.h": "base",
    "yaml.h": "base",
    "uv.h": "net pg",
    "llhttp.h": "net",
    "mbedtls/": "net wire",
    "psa/": "net wire",
    "wslay/": "net",
    "libpq-fe.h": "pg",
    # The C library's sockets and waiting: formats and nouns know nothing of them.
    "arpa/": "base net pg",
    "netinet/": "base net pg",
    "sys/socket.h": "base net pg",
    "sys/ioctl.h": "net",
    "sys/un.h": "net",
    "linux/": "net",
    "netdb.h": "net",
    "poll.h": "base net pg",
    "sys/epoll.h": "",
    "pthread.h": "",
}

# Signatures need digests and public keys; that is all wire/ may see of the TLS library.
WIRE_SIGNATURES = re.compile(
    r"mbedtls/(md|md5|sha\d+|base64|constant_time|ecp|pk|platform_util|psa_util)\.h$")

# What any folder may use of the C library and POSIX.
PLAIN = set("""
    assert.h ctype.h errno.h float.h inttypes.h limits.h locale.h math.h signal.h stdalign.h
    stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h string.h
    strings.h time.h fcntl.h getopt.h malloc.h sched.h unistd.h sys/file.h sys/mman.h
    sys/random.h sys/resource.h sys/stat.h sys/time.h sys/types.h sys/uio.h sys/utsname.h
    sys/wait.h sys/prctl.h
""".split())

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(file):
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if found := INCLUDE.match(line):
            yield number, found[1] == '"', found[2]


def folder_of(path):
    return str(path.parent.relative_to(SRC))


def judge_ours(here, name):
    if not (SRC / name).is_file():
        return f'"{name}" is no file of src/; write the path from src/'
    if not name.endswith(".h"):
        return f'"{name}" is not a header'
    there = folder_of(SRC / name)
    if there != here and there not in MAY[here].split():
        return f"{here} may not include {there} (it may: {MAY[here] or 'nothing'})"
    return None


def judge_foreign(here, name):
    homes = HOME.get(name, HOME.get(name.split("/")[0] + "/"))
    if homes is None:
        return None if name in PLAIN else f"<{name}> is in no list of test/tools/layers.py"
    if here not in homes.split():
        return f"<{name}> is at home in {homes or 'no folder'}, not in {here}"
    if here == "wire" and name.startswith("mbedtls/") and not WIRE_SIGNATURES.match(name):
        return f"<{name}>: wire may use digests and public keys only"
    return None


def breaches(file):
    here = folder_of(file)
    if here not in MAY:
        yield 1, f"src/{here} is not in the table of test/tools/layers.py"
        return
    own = file.with_suffix(".h")
    first = True
    for number, ours, name in includes(file):
        why = judge_ours(here, name) if ours else judge_foreign(here, name)
        if why:
            yield number, why
        # So that every header is proven to stand on its own.
        if first and file.suffix == ".c" and own.is_file() and SRC / name != own:
            yield number, f'the first include must be its own "{own.relative_to(SRC)}"'
        first = False


def rings(headers):
    """Headers that include each other in a ring, each ring once."""
    edges = {h: [SRC / name for _, ours, name in includes(h) if ours] for h in headers}
    done, trail = set(), []

    def visit(header):
        if header in trail:
            ring = trail[trail.index(header):] + [header]
            yield header, "a ring of includes: " + " -> ".join(str(h.relative_to(SRC)) for h in ring)
        elif header not in done and header in edges:
            trail.append(header)
            for next_one in edges[header]:
                yield from visit(next_one)
            done.add(trail.pop())

    for header in headers:
        yield from visit(header)


def main():
    files = sorted(file for file in SRC.rglob("*.[ch]"))
    findings = [(file, *breach) for file in files for breach in breaches(file)]
    findings += [(file, 1, why) for file, why in rings([f for f in files if f.suffix == ".h"])]
    for file, number, why in findings:
        print(f"{file}:{number}: {why}")
    return 1 if findings else 0


sys.exit(main())
