// npm's oidc-provider, a certified OpenID provider: discovery, keys, client credentials, token exchange, and where LOGIN_REDIRECT says who
// may ask for it, logins of people with the provider's own forms. `/_test/` adds what tests need beside it: tokens that are wrong in one way,
// and a change of keys.
import Provider, { errors } from 'oidc-provider';
import * as jose from 'jose';
import { serve } from './net.mjs';

const standard = process.env.AUDIENCE;
const lifetime = 3600;
// What clients may ask for.
const offered = 'mcp:use mcp:read mcp:write';
// Whoever logs in is who they say; these are in groups.
const roles = { ann: ['dba'], bob: ['dba'], 'agent-a': ['dba'], eve: ['reader'] };
const page = process.env.LOGIN_REDIRECT && {
  client_id: 'gate-ui', grant_types: ['authorization_code'], response_types: ['code'], redirect_uris: [process.env.LOGIN_REDIRECT],
  ...(process.env.LOGIN_SECRET
    ? { client_secret: process.env.LOGIN_SECRET, token_endpoint_auth_method: 'client_secret_basic' }
    : { token_endpoint_auth_method: 'none' }),
};
const make = async (kid, alg) => {
  const pair = await jose.generateKeyPair(alg, { extractable: true });
  return { private: pair.privateKey, public: pair.publicKey, jwk: { ...(await jose.exportJWK(pair.privateKey)), kid, alg, use: 'sig' } };
};

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

// RFC 8693, on the provider's own keys, clients and tokens. Both tokens must be ones that the provider signed and that count now; the one
// that comes back is the subject's, for the resource that was asked for, and names who acts for the subject.
const addExchange = (provider, keys, url) => {
  const genuine = async (token, audience) => {
    const key = ({ kid }) => keys.find(({ jwk }) => jwk.kid === kid)?.public;
    try {
      return (await jose.jwtVerify(token, key, { issuer: url, audience })).payload;
    } catch (error) {
      throw new errors.InvalidRequest(`the token is not good: ${error.code}`);
    }
  };
  const parameters = ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type', 'resource', 'scope'];
  provider.registerGrantType(exchangeGrant, async (context) => {
    const { client, params } = context.oidc;
    if (params.subject_token_type !== accessTokenType) throw new errors.InvalidRequest('subject_token_type');
    const subject = await genuine(params.subject_token, standard);
    const actor = params.actor_token && await genuine(params.actor_token);
    const token = new provider.AccessToken({
      client, accountId: subject.sub, scope: 'mcp:use', gty: 'token_exchange', extra: actor && { act: { sub: actor.sub } },
    });
    token.resourceServer = new provider.ResourceServer(params.resource, {
      scope: 'mcp:use', accessTokenTTL: lifetime, accessTokenFormat: 'jwt', jwt: { sign: { alg: keys[0].jwk.alg, kid: keys[0].jwk.kid } },
    });
    context.body = {
      access_token: await token.save(), issued_token_type: accessTokenType, token_type: 'Bearer', expires_in: token.expiration,
      scope: token.scope,
    };
  }, parameters);
};

await serve(async (url) => {
  let keys = [await make('k1', process.env.ALG ?? 'RS256')];
  // The machine that proves who it is by a key of its own.
  const machine = await make('machine', 'ES256');
  const { d: _, ...machineKey } = machine.jwk;
  const configuration = () => ({
    jwks: { keys: keys.map((key) => key.jwk) },
    scopes: offered.split(' '),
    clients: [{
      client_id: 'agent-a', client_secret: 's3cret-a', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      id_token_signed_response_alg: keys[0].jwk.alg, scope: offered,
    }, {
      client_id: 'agent-k', token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [machineKey] }, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      id_token_signed_response_alg: keys[0].jwk.alg, scope: offered,
    }, {
      client_id: 'gateway', client_secret: 's3cret-gate', grant_types: ['client_credentials', exchangeGrant], redirect_uris: [],
      response_types: [], id_token_signed_response_alg: keys[0].jwk.alg, scope: 'mcp:use',
    }, ...(page ? [{ ...page, id_token_signed_response_alg: keys[0].jwk.alg }] : [])],
    claims: { openid: ['sub', 'roles'] },
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, roles: roles[id] ?? [] }) }),
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA', 'Ed25519'] },
    features: {
      devInteractions: { enabled: Boolean(page) },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      introspection: { enabled: Boolean(process.env.OPAQUE) },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_context, client) => (client.clientId === 'gate-ui' ? undefined : standard),
        useGrantedResource: () => true,
        getResourceServerInfo: (_context, resource) => ({
          scope: offered, audience: resource, accessTokenTTL: lifetime, accessTokenFormat: process.env.OPAQUE ? 'opaque' : 'jwt',
          jwt: { sign: { alg: keys[0].jwk.alg, kid: keys[0].jwk.kid } },
        }),
      },
    },
    extraTokenClaims: (_context, token) => ({ roles: ['reader'], groups: ['ops'], ...token.extra }),
  });
  const provider = () => {
    const made = new Provider(url, configuration());
    addExchange(made, keys, url);
    return made.callback();
  };
  let handler = provider();

  const sign = async (kind, audience) => {
    const now = Math.floor(Date.now() / 1000);
    const { jwk } = keys[0];
    const key = kind === 'forged' ? (await jose.generateKeyPair(jwk.alg)).privateKey : keys[0].private;
    const claims = { sub: 'agent-a', client_id: 'agent-a', roles: ['reader'], jti: `${kind}-${now}` };
    const issued = kind === 'expired' ? now - 2 * lifetime : now;
    return new jose.SignJWT(claims).setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, typ: 'at+jwt' }).setIssuer(url)
      .setAudience(kind === 'wrong-audience' ? 'https://elsewhere.example/mcp' : audience)
      .setIssuedAt(issued).setExpirationTime(issued + lifetime).sign(key);
  };
  const granted = async (audience) => {
    const response = await fetch(`${url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('agent-a:s3cret-a')}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'mcp:use', resource: audience }),
    });
    const reply = await response.json();
    if (!reply.access_token) throw new Error(JSON.stringify(reply));
    return reply.access_token;
  };

  return async (request, response) => {
    const asked = new URL(request.url, url);
    try {
      if (asked.pathname === '/_test/mint') {
        const kind = asked.searchParams.get('kind') ?? 'good';
        const audience = asked.searchParams.get('resource') ?? standard;
        response.end(kind === 'good' ? await granted(audience) : await sign(kind, audience));
      } else if (asked.pathname === '/_test/machine') {
        response.end(await jose.exportPKCS8(machine.private));
      } else if (asked.pathname === '/_test/rotate') {
        keys = [await make(`k${Date.now()}`, asked.searchParams.get('alg') ?? 'ES256'), ...keys];
        handler = provider();
        response.end(keys[0].jwk.kid);
      } else {
        handler(request, response);
      }
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  };
});
