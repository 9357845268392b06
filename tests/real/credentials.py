"""The Python SDK with its providers of client credentials: as credentials1.mjs, in the era that MODE names."""
import asyncio
import json
import os
import urllib.request

import httpx2
import mcp
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client

URL, ISSUER, MODE = os.environ["GATEWAY_URL"], os.environ["ISSUER_URL"], os.environ.get("MODE", "auto")


class Storage:
    """Keeps what the SDK is given."""

    def __init__(self):
        self.tokens = self.client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


def providers():
    yield ClientCredentialsOAuthProvider(URL, Storage(), "agent-a", "s3cret-a", issuer=ISSUER)
    key = urllib.request.urlopen(f"{ISSUER}/_test/machine", timeout=30).read().decode()
    signed = SignedJWTParameters(issuer="agent-k", subject="agent-k", signing_key=key, signing_algorithm="ES256")
    yield PrivateKeyJWTOAuthProvider(URL, Storage(), "agent-k", signed.create_assertion_provider(), issuer=ISSUER)


async def main():
    for provider in providers():
        async with httpx2.AsyncClient(auth=provider, timeout=30) as http:
            async with mcp.Client(streamable_http_client(URL, http_client=http), mode=MODE) as client:
                tools = (await client.list_tools()).tools
                assert any(tool.name == "echo" for tool in tools), tools
                echo = await client.call_tool("echo", {"message": "hello gate"})
                assert "hello gate" in echo.content[0].text, echo
                scope = provider.context.current_tokens.scope
                assert scope == "mcp:read", scope
                wide = await client.call_tool(os.environ["WIDE_TOOL"], json.loads(os.environ["WIDE_ARGUMENTS"]))
                assert not wide.is_error, wide
                scope = provider.context.current_tokens.scope
                assert {"mcp:read", "mcp:write"} <= set(scope.split()), scope
                print(json.dumps({"mode": MODE, "echo": echo.content[0].text, "scopes": scope}))


asyncio.run(main())
