"""The Python SDK as a client, in the era that MODE names: lists tools, calls one, prints JSON."""
import asyncio
import json
import os
import urllib.parse
import urllib.request

import httpx2
import mcp
from mcp.client.streamable_http import streamable_http_client

URL, MODE = os.environ["GATEWAY_URL"], os.environ.get("MODE", "auto")


def token():
    if "TOKEN" in os.environ:
        return os.environ["TOKEN"]
    query = urllib.parse.urlencode({"kind": "good", "resource": URL})
    return urllib.request.urlopen(f"{os.environ['ISSUER_URL']}/_test/mint?{query}", timeout=30).read().decode()


async def main():
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token()}"}, timeout=30) as http:
        async with mcp.Client(streamable_http_client(URL, http_client=http), mode=MODE) as client:
            tools = (await client.list_tools()).tools
            assert any(tool.name == "echo" for tool in tools), tools
            result = await client.call_tool("echo", {"message": "hello gate"})
            assert "hello gate" in result.content[0].text, result
            print(json.dumps({"mode": MODE, "tools": len(tools), "echo": result.content[0].text}))


asyncio.run(main())
