// Tokens that are wrong in one way each: all are refused alike, and the challenge leads to the metadata (RFC 9728).
import { check, gateway, token } from './caller.mjs';

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: {} });
let metadata;
for (const kind of ['forged', 'expired', 'wrong-audience']) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${await token(kind)}` };
  const response = await fetch(gateway, { method: 'POST', headers, body });
  const challenge = response.headers.get('www-authenticate') ?? '';
  metadata = /resource_metadata="([^"]+)"/.exec(challenge)?.[1];
  check(response.status === 401 && challenge.includes('error="invalid_token"') && metadata, `${kind}: ${response.status} ${challenge}`);
  console.log(JSON.stringify({ token: kind, status: response.status, 'WWW-Authenticate': challenge }));
}
const document = await (await fetch(metadata)).json();
const isRight = document.resource === gateway && document.authorization_servers[0] === process.env.ISSUER_URL;
check(isRight, JSON.stringify(document));
console.log(JSON.stringify(document));
