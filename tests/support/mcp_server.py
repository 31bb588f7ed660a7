"""A server of the Model Context Protocol over stdio, with two tools: ``python mcp_server.py``."""

from __future__ import annotations

from typing import Any

server: Any
try:
    from mcp.server.mcpserver import MCPServer  # mcp 2, which LiveKit 1.8 wants

    server = MCPServer("shop")
except ImportError:
    from mcp.server.fastmcp import FastMCP  # type: ignore[attr-defined, unused-ignore]

    server = FastMCP("shop")


@server.tool()  # type: ignore[untyped-decorator, unused-ignore]
def price(item: str) -> str:
    """What an item costs."""
    return f"{item}: 3"


@server.tool()  # type: ignore[untyped-decorator, unused-ignore]
def refuse() -> str:
    """Says no."""
    raise ValueError("no such item")


if __name__ == "__main__":
    server.run("stdio")
