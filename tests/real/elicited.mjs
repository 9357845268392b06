// The TypeScript SDK 2.x as a client with a user: a call that needs approval sends it to a page, and is made again by the SDK itself.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { check, gateway, token } from './caller.mjs';

const { ADMIN_URL, DECIDER_TOKEN } = process.env;
const capabilities = { elicitation: { url: {} } };
const client = new Client({ name: 'elicited', version: '1.0.0' }, { capabilities, versionNegotiation: { mode: { pin: '2026-07-28' } } });
const pages = [];
client.setRequestHandler('elicitation/create', async ({ params }) => {
  pages.push(params.url);
  // At the first page nobody decides, so the call comes to another.
  if (pages.length === 2) {
    const id = new URL(params.url).pathname.split('/').at(-1);
    const headers = { Authorization: `Bearer ${DECIDER_TOKEN}` };
    const decided = await fetch(`${ADMIN_URL}/approvals/${id}/approve`, { method: 'POST', headers });
    check(decided.ok, `the decision was answered ${decided.status}`);
  }
  return { action: 'accept' };
});
const headers = { Authorization: `Bearer ${await token()}` };
await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { requestInit: { headers } }));
const result = await client.callTool({ name: 'customer', arguments: {} });
check(!result.isError && result.content[0].text.startsWith('Ana pays with [CREDIT_CARD]'), JSON.stringify(result));
check(pages.length === 2 && pages[0] === pages[1] && new URL(pages[0]).pathname.startsWith('/ui/approvals/APR-'), JSON.stringify(pages));
await client.close();
