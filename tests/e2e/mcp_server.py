"""An MCP server on standard input and output: tools that answer, and one that reports an error.

``mcp_server.py NAME`` has a tool ``NAME`` beside ``look_up`` and ``always_fail``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_TOOLS = {"look_up": False, "always_fail": True} | dict.fromkeys(sys.argv[1:], False)
_SCHEMA = {"type": "object", "properties": {"customer": {"type": "string"}}}


def answer(method: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """The result of an MCP request, or None for a method this server does not have."""
    if method == "initialize":
        version = parameters.get("protocolVersion", "2025-03-26")
        return {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "shop", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [{"name": name, "description": name, "inputSchema": _SCHEMA} for name in _TOOLS]}
    if method == "tools/call":
        failed = _TOOLS[parameters["name"]]
        text = f"{'no' if failed else 'one'} order of {parameters['arguments'].get('customer')}"
        return {"isError": failed, "content": [{"type": "text", "text": text}]}
    return {} if method == "ping" else None


def main() -> None:
    """Answers one JSON-RPC message a line until standard input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params") or {})
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": "method not found"}
        else:
            reply["result"] = result
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
