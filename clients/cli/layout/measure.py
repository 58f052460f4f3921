#!/usr/bin/env python3
"""Lists the functions that run in common use, for the linker to put side by side (see build.rs).

    KILO_SYMBOLS=1 cargo build --release -p kilo-cli
    clients/cli/layout/measure.py target/release/kilo > clients/cli/layout/functions.txt

Needs valgrind and git. It starts the daemon, runs one prompt on the command line, then a session with an answer, a tool
call and what clients ask for, each under callgrind, against a scripted model. The names hold with the compiler and the
versions of crates that they were measured with; measure again after a change of the compiler.
"""

import bisect
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RUN_SECONDS_MAX = 120


class Model(BaseHTTPRequestHandler):
    """Answers with words; a prompt that says `read` gets one call of the tool first."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        last = body["messages"][-1]
        call = last["role"] == "user" and "please read" in json.dumps(last) and body.get("tools")
        arguments = json.dumps({"filePath": os.path.join(self.server.folder, "file.txt")})
        function = {"name": "read", "arguments": arguments}
        deltas = (
            [{"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}]
            if call
            else [{"content": f"word {number} "} for number in range(100)]
        )
        pieces = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        reason = "tool_calls" if call else "stop"
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, *_):
        pass


def environment(home, model):
    options = {"baseURL": f"http://127.0.0.1:{model}/v1", "apiKey": "none"}
    limit = {"context": 100000, "output": 10000}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": options,
        "models": {"m": {"name": "m", "limit": limit}},
    }
    config = {"model": "scripted/m", "provider": {"scripted": provider}, "permission": "allow"}
    return {"HOME": home, "PATH": os.environ["PATH"], "KILO_CONFIG_CONTENT": json.dumps(config)}


def start(words, out, folder, env):
    valgrind = ["valgrind", "--tool=callgrind", "--dump-instr=yes", f"--callgrind-out-file={out}"]
    log = open(out + ".log", "w")
    return subprocess.Popen(valgrind + words, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def port_of(out):
    deadline = time.time() + RUN_SECONDS_MAX
    while time.time() < deadline:
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", open(out + ".log").read())
        if found:
            return int(found.group(1))
        time.sleep(0.1)
    raise SystemExit(f"the daemon does not start, see {out}.log")


def use(port, folder, is_full):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS_MAX)

    def ask(method, path, body=None):
        headers = {"content-type": "application/json", "x-kilo-directory": folder}
        client.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = client.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if text else None

    ask("GET", "/global/health")
    session = ask("POST", "/session", {"title": "t"})["id"]
    if not is_full:
        return
    events = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS_MAX)
    events.request("GET", "/event", headers={"x-kilo-directory": folder})
    stream = events.getresponse()
    threading.Thread(target=lambda: [None for _ in iter(lambda: stream.read1(65536), b"")], daemon=True).start()
    for path in ("/session", "/config", "/agent", "/provider", "/command", "/find/file?query=file"):
        ask("GET", path)
    for text in ("say something", "please read the file"):
        ask("POST", f"/session/{session}/message", {"parts": [{"type": "text", "text": text}]})
    ask("GET", f"/session/{session}/message")
    ask("GET", f"/session/{session}")


def addresses(out, binary):
    """The instructions of the program that ran."""
    names, own, at, found = {}, False, 0, set()
    for line in open(out, errors="replace"):
        place = re.match(r"(c?ob)=\((\d+)\)(?: (.*))?", line)
        if place:
            if place.group(3):
                names[place.group(2)] = place.group(3).strip()
            if place.group(1) == "ob":
                own = names.get(place.group(2)) == binary
            continue
        cost = re.match(r"(0x[0-9a-f]+|\+\d+|-\d+|\*)\s", line)
        if cost:
            word = cost.group(1)
            if word != "*":
                at = int(word, 16) if word.startswith("0x") else at + int(word)
            if own:
                found.add(at)
    return found


def functions(binary):
    listed = subprocess.run(["nm", "--defined-only", "-n", binary], capture_output=True, text=True, check=True).stdout
    rows = (line.split(" ", 2) for line in listed.splitlines())
    return [(int(at, 16), name) for at, kind, name in rows if kind in "tTwW"]


def main():
    binary = os.path.realpath(sys.argv[1])
    known = functions(binary)
    if len(known) < 1000:
        raise SystemExit("the program has no symbols: build it with KILO_SYMBOLS=1")
    starts = [at for at, _ in known]
    home = tempfile.mkdtemp(prefix="kilo-layout-")
    folder = os.path.join(home, "project")
    subprocess.run(["git", "init", "-q", folder], check=True)
    open(os.path.join(folder, "file.txt"), "w").write("some text\n" * 50)
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    model.folder = folder
    threading.Thread(target=model.serve_forever, daemon=True).start()
    env = environment(home, model.server_port)

    listed = {}
    for name, words in (("start", ["serve"]), ("run", ["run", "hi"]), ("session", ["serve"])):
        out = os.path.join(home, name)
        words = [binary, *words, *(["--hostname", "127.0.0.1", "--port", "0"] if words == ["serve"] else [])]
        process = start(words, out, folder, env)
        try:
            if name != "run":
                use(port_of(out), folder, name == "session")
                process.terminate()
            process.wait(RUN_SECONDS_MAX)
        finally:
            process.kill()
        ran = {bisect.bisect_right(starts, at) - 1 for at in addresses(out, binary)}
        new = sorted(index for index in ran if index >= 0 and known[index][1] not in listed)
        listed.update((known[index][1], None) for index in new)
        print(f"{name}: {len(ran)} functions, {len(new)} new", file=sys.stderr)
    print("\n".join(listed))
    shutil.rmtree(home)


main()
