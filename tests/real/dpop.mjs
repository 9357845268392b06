// A client whose tokens are bound to its key (RFC 9449): the provider binds them, jose signs the proofs, the gateway is called with both,
// once with a nonce where it asks for one. Then as a thief would: without the proof, and with one of another key.
import * as jose from 'jose';
import { check, gateway } from './caller.mjs';

const { ISSUER_URL: issuer } = process.env;
const pair = () => jose.generateKeyPair('ES256', { extractable: true });
const hash = async (text) => jose.base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))));
const proof = async ({ publicKey, privateKey }, htu, claims = {}) =>
  new jose.SignJWT({ htm: 'POST', htu, jti: crypto.randomUUID(), ...claims })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: await jose.exportJWK(publicKey) }).setIssuedAt().sign(privateKey);

const own = await pair();
const granted = await fetch(`${issuer}/token`, {
  method: 'POST',
  headers: {
    authorization: `Basic ${btoa('agent-a:s3cret-a')}`, 'content-type': 'application/x-www-form-urlencoded',
    dpop: await proof(own, `${issuer}/token`),
  },
  body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'mcp:use', resource: gateway }),
});
const { access_token: token, token_type: type } = await granted.json();
check(type === 'DPoP' && jose.decodeJwt(token).cnf.jkt, `the provider granted ${type}`);

const call = (authorization, dpop) => fetch(gateway, {
  method: 'POST',
  headers: {
    authorization, ...(dpop && { dpop }), accept: 'application/json, text/event-stream', 'content-type': 'application/json',
  },
  body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't', arguments: {} } }),
});
const ath = await hash(token);
const first = await call(`DPoP ${token}`, await proof(own, gateway, { ath }));
const nonce = first.headers.get('dpop-nonce');
check(first.status === 401 && nonce && first.headers.get('www-authenticate').includes('use_dpop_nonce'), `no nonce: ${first.status}`);
const used = await proof(own, gateway, { ath, nonce });
check((await call(`DPoP ${token}`, used)).status === 200, 'a proof with the nonce is refused');
check((await call(`DPoP ${token}`, used)).status === 401, 'a proof counts twice');
check((await call(`DPoP ${token}`, await proof(own, gateway, { ath, nonce }))).status === 200, 'a fresh proof is refused');
check((await call(`Bearer ${token}`)).status === 401, 'the token counts without a proof');
check((await call(`DPoP ${token}`, await proof(await pair(), gateway, { ath, nonce }))).status === 401, 'the token counts with another key');
console.log('ok');
