// The TypeScript SDK 2.x as a client of 2025-11-25 with a user: the error that sends it to a page is one that the SDK knows.
import { Client, StreamableHTTPClientTransport, UrlElicitationRequiredError } from '@modelcontextprotocol/client';
import { check, gateway, token } from './caller.mjs';

const { ADMIN_URL, DECIDER_TOKEN } = process.env;
const client = new Client({ name: 'elicited', version: '1.0.0' }, { capabilities: { elicitation: { url: {} } } });
const headers = { Authorization: `Bearer ${await token()}` };
await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { requestInit: { headers } }));
const call = () => client.callTool({ name: 'get-sum', arguments: { a: 2, b: 3 } });
const error = await call().catch((thrown) => thrown);
check(error instanceof UrlElicitationRequiredError, JSON.stringify(error));
const [{ mode, url, elicitationId, message }] = error.elicitations;
check(mode === 'url' && url.endsWith(`/ui/approvals/${elicitationId}`) && message.includes('dba'), JSON.stringify(error.elicitations));
const decided = await fetch(`${ADMIN_URL}/approvals/${elicitationId}/approve`, {
  method: 'POST',
  headers: { Authorization: `Bearer ${DECIDER_TOKEN}` },
});
check(decided.ok, `the decision was answered ${decided.status}`);
const result = await call();
check(!result.isError && result.content[0].text.includes('5'), JSON.stringify(result));
await client.close();
