// A call that waits for people: the TypeScript SDK 1.x makes it, the provider's own forms log people in, and the page's forms decide. Who
// asked may not approve it, somebody else of the group does, and the call gets its answer.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { check, gateway, token } from './caller.mjs';

const page = process.env.PAGE_URL;

// A browser without scripts: cookies by host, redirects, forms.
class Person {
  #cookies = new Map();

  async #ask(url, form, from) {
    const { hostname } = new URL(url);
    const own = this.#cookies.get(hostname) ?? new Map();
    this.#cookies.set(hostname, own);
    const headers = { cookie: [...own].map((pair) => pair.join('=')).join('; '), ...(form && { origin: new URL(from).origin }) };
    const response = await fetch(url, { method: form ? 'POST' : 'GET', body: form && new URLSearchParams(form), headers, redirect: 'manual' });
    for (const [, name, value, rest] of response.headers.getSetCookie().map((line) => line.match(/^([^=]+)=([^;]*)(.*)$/))) {
      if (/max-age=0|1970/i.test(rest)) own.delete(name);
      else own.set(name, value);
    }
    const to = response.headers.get('location');
    if (to && response.status >= 300 && response.status < 400) return this.#ask(new URL(to, url).href, undefined, url);
    return { url, status: response.status, text: await response.text() };
  }

  go(path) {
    return this.#ask(new URL(path, page).href);
  }

  // Sends the last form that a page has, or one of its buttons' own addresses.
  send({ url, text }, fields, action = text.match(/.*action="([^"]*)"/s)[1]) {
    const csrf = text.match(/name="csrf" value="([^"]*)"/)?.[1];
    return this.#ask(new URL(action, url).href, { ...(csrf && { csrf }), ...fields }, url);
  }

  async signIn(name) {
    const login = await this.go('/ui/login');
    const consent = await this.send(login, { prompt: 'login', login: name, password: 'any' });
    const signedIn = await this.send(consent, { prompt: 'consent' });
    check(signedIn.text.includes(`dev:${name}</b>`), signedIn.text);
    return this;
  }
}

const waiting = async (person) => {
  for (let looks = 0; looks < 100; looks += 1) {
    const { text } = await person.go('/ui/approvals');
    if (text.includes('badge pending')) return text.match(/APR-\w+/)[0];
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return check(false, 'no call waits');
};

const [ann, asker] = await Promise.all(['ann', 'agent-a'].map((name) => new Person().signIn(name)));
const client = new Client({ name: 'approved', version: '1.0.0' });
const headers = { Authorization: `Bearer ${await token()}` };
await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { requestInit: { headers } }));
let isAnswered = false;
const call = client.callTool({ name: 'echo', arguments: { message: 'refund 42' } }).finally(() => { isAnswered = true; });
const id = await waiting(ann);
const own = await asker.go(`/ui/approvals/${id}`);
const refused = await asker.send(own, {}, `/ui/approvals/${id}/approve`);
check(refused.status === 403 && !isAnswered, `${refused.status} ${refused.text}`);
const request = await ann.go(`/ui/approvals/${id}`);
check(request.text.includes('&quot;message&quot;: &quot;refund 42&quot;'), request.text);
const approved = await ann.send(request, { reason: 'ticket 4711' }, `/ui/approvals/${id}/approve`);
check(approved.status === 200 && approved.text.includes('ticket 4711'), `${approved.status} ${approved.text}`);
const { content } = await call;
check(content[0].text === 'Echo: refund 42', JSON.stringify(content));
console.log(`it waits as ${id}; people sign in at the provider and open /ui/approvals/${id}`);
console.log('agent-a, who asked, is refused: nobody decides about a request of their own');
console.log(`ann, of the group dba, approves it by the page's form; the call gets its answer: ${content[0].text}`);
await client.close();
