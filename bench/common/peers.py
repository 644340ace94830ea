"""peers.py - others that can stand before a model service, each as it is commonly set up, on one
core with one thread or process: HAProxy, Portkey's gateway, a FastAPI service.

What cannot be had here is left out, and said so.
"""

import os
import pathlib
import resource
import shutil
import subprocess

from parts import OUT, ROOT, CannotRun, Server, answers, free_port, version_of

HERE = ROOT / "bench" / "peers"
PORTKEY = OUT / "peers"                       # npm's folder, as bench/peers/package-lock.json says
PORTKEY_PROGRAM = PORTKEY / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


# ---- HAProxy -----------------------------------------------------------------------

def find_haproxy():
    found = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise CannotRun("HAProxy is missing: deps/install.sh peers")
    return [found]


def start_haproxy(program, folder, upstream, certificate=None):
    port = free_port()
    most = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2
    way = f"127.0.0.1:{upstream.port}"
    if certificate:
        way += f" ssl verify required ca-file {certificate} sni str(localhost) verifyhost localhost"
    settings = folder / "haproxy.cfg"
    settings.write_text(
        f"global\n    nbthread 1\n    maxconn {most}\n"
        "defaults\n    mode http\n    option http-no-delay\n    http-reuse always\n"
        "    timeout connect 10s\n    timeout client 300s\n    timeout server 300s\n"
        f"frontend door\n    bind 127.0.0.1:{port}\n    default_backend service\n"
        f"backend service\n    server service {way} pool-max-conn -1\n")
    return started(Server([*program, "-db", "-f", settings], folder / "haproxy.log"), port)


# ---- Portkey's gateway -------------------------------------------------------------

def node():
    found = shutil.which("node")
    version = version_of([found, "--version"]) if found else "v0"
    if int(version.lstrip("v").split(".")[0]) < 18:
        raise CannotRun("Portkey's gateway wants Node.js 18 or newer")
    return found


def find_portkey():
    program = node()
    lock = HERE / "package-lock.json"
    installed = PORTKEY / "package-lock.json"
    if not (PORTKEY_PROGRAM.exists() and installed.read_bytes() == lock.read_bytes()):
        if not shutil.which("npm"):
            raise CannotRun("npm is missing: deps/install.sh test")
        PORTKEY.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, PORTKEY / file)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                               "--loglevel=error"], cwd=PORTKEY, capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"npm could not fetch Portkey's gateway: {done.stderr[-300:]}")
    return [program, str(PORTKEY_PROGRAM)]


def start_portkey(program, folder, upstream, certificate=None):
    port = free_port()
    server = Server([*program, f"--port={port}", "--headless"], folder / "portkey.log")
    server = started(server, port)
    server.fields = ["Authorization: Bearer none", "x-portkey-provider: openai",
                     f"x-portkey-custom-host: http://127.0.0.1:{upstream.port}/v1"]
    return server


# ---- FastAPI -----------------------------------------------------------------------

def find_fastapi():
    for name in ("fastapi", "uvicorn", "httpx"):
        done = subprocess.run(["/usr/bin/python3", "-c", f"import {name}"], capture_output=True)
        if done.returncode:
            raise CannotRun(f"Python's {name} is missing: deps/install.sh peers")
    return ["/usr/bin/python3", "-B", "-m", "uvicorn"]


def start_fastapi(program, folder, upstream, certificate=None):
    port = free_port()
    environment = dict(os.environ, UPSTREAM=f"http://127.0.0.1:{upstream.port}/v1")
    server = Server(["/usr/bin/env", "-C", str(HERE), f"UPSTREAM={environment['UPSTREAM']}",
                     *program, "fastapi_relay:app", "--host", "127.0.0.1", "--port", str(port),
                     "--no-access-log", "--log-level", "warning", "--backlog", "4096"],
                    folder / "fastapi.log")
    return started(server, port)


# ---- all of them -------------------------------------------------------------------

def started(server, port):
    server.port = port
    server.wait_for(lambda: answers(port), pathlib.Path(server.log).stem)
    return server


#           how to find it, start it, its version, whether it takes every load that others take
PEERS = {
    "haproxy": (find_haproxy, start_haproxy, ["-v"], True),
    "portkey": (find_portkey, start_portkey, None, False),
    "fastapi": (find_fastapi, start_fastapi, None, False),
}


def find_peers(names):
    """Programs by name; who is missing is told and left out."""
    programs = {}
    for name in names:
        try:
            programs[name] = PEERS[name][0]()
        except CannotRun as e:
            print(f"without {name}: {e}")
    return programs


def peer_version(name, program):
    if name == "portkey":
        package = (PORTKEY / "node_modules" / "@portkey-ai" / "gateway" / "package.json").read_text()
        return f"Portkey gateway {package.split(chr(34) + 'version' + chr(34))[1].split(chr(34))[1]}"
    if name == "fastapi":
        done = subprocess.run(["/usr/bin/python3", "-c", "import fastapi, uvicorn, httpx, sys; print('FastAPI',"
                               " fastapi.__version__, 'uvicorn', uvicorn.__version__, 'httpx',"
                               " httpx.__version__, 'Python', sys.version.split()[0])"],
                              capture_output=True, text=True)
        return done.stdout.strip()
    return version_of([*program, *PEERS[name][2]])


def start_peer(name, program, folder, upstream, certificate=None):
    server = PEERS[name][1](program, folder, upstream, certificate)
    server.fields = getattr(server, "fields", [])
    return server


def can_do(name, plan):
    return name not in PEERS or PEERS[name][3] or (not plan["tls"] and plan["streams"] <= 200)


def field_options(server):
    return [word for line in getattr(server, "fields", []) for word in ("--field", line)]
