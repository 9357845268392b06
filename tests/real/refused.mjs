// Tokens that are wrong in one way each: all are refused alike, and the challenge leads to the metadata.
import { check, gateway, token } from './net.mjs';

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: {} });
for (const kind of ['forged', 'expired', 'wrong-audience']) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${await token(kind)}` };
  const response = await fetch(gateway, { method: 'POST', headers, body });
  const challenge = response.headers.get('www-authenticate') ?? '';
  check(response.status === 401 && challenge.includes('resource_metadata='), `${kind}: ${response.status} ${challenge}`);
  console.log(`${kind}: 401 ${challenge}`);
}
