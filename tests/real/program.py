"""An MCP server on standard input and output whose tools do what a gateway must be able to live with."""
import json
import os
import subprocess
import sys
import threading

writing = threading.Lock()
asked = {}
cancelled = set()


def say(message):
    with writing:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def text(message, value):
    result = {"content": [{"type": "text", "text": value}]}
    if "io.modelcontextprotocol/protocolVersion" in message["params"].get("_meta", {}):
        result["resultType"] = "complete"
    say({"id": message["id"], "result": result})


def call(message):
    params = message["params"]
    name, arguments = params["name"], params.get("arguments", {})
    if name == "env":
        text(message, json.dumps(dict(os.environ)))
    elif name == "pid":
        text(message, str(os.getpid()))
    elif name == "id":
        text(message, f"{type(message['id']).__name__} {arguments.get('who')}")
    elif name == "progress":
        token = params["_meta"]["progressToken"]
        for step in (1, 2):
            say({"method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
        text(message, "done")
    elif name == "ask":
        asked[7] = threading.Event()
        say({"id": 7, "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}})
        threading.Thread(target=lambda: (asked[7].wait(10), text(message, "answered"))).start()
    elif name == "slow":
        threading.Thread(target=lambda: wait(message, arguments["file"])).start()
    elif name == "noise":
        with writing:
            print("starting up ...", flush=True)
            print("not JSON either", file=sys.stderr, flush=True)
        text(message, "quiet again")
    elif name == "flood":
        text(message, "x" * arguments["bytes"])
    elif name == "child":
        text(message, str(subprocess.Popen(["sleep", "1000"]).pid))
    elif name == "die":
        os._exit(3)
    else:
        say({"id": message["id"], "error": {"code": -32602, "message": "no such tool"}})


def wait(message, path):
    for _ in range(1000):
        if message["id"] in cancelled:
            with open(path, "w", encoding="utf-8") as file:
                file.write("cancelled")
            return
        threading.Event().wait(0.01)
    text(message, "slept")


for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        about = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "program", "version": "1"}}
        say({"id": message["id"], "result": about})
    elif method == "tools/call":
        call(message)
    elif method == "notifications/cancelled":
        cancelled.add(message["params"]["requestId"])
    elif method is None and message.get("id") in asked:
        asked[message["id"]].set()
    elif "id" in message:
        say({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})
