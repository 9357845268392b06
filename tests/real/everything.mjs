// npm's server-everything over streamable HTTP. It would listen on every address and answer anybody; here it listens on loopback
// and, where it is given one, demands a credential.
import http from 'node:http';
import net from 'node:net';
import { admits } from './net.mjs';

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (_port, ...rest) {
  this.once('listening', () => console.log(`ready http://127.0.0.1:${this.address().port}/mcp`));
  return listen.call(this, 0, '127.0.0.1', ...rest.filter((one) => typeof one === 'function'));
};
const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, ...rest) {
  return event === 'request' && !admits(...rest) ? true : emit.call(this, event, ...rest);
};
// What it says otherwise is not for the one who waits for its first line.
console.info = console.debug = console.error;
process.argv[2] = 'streamableHttp';
await import('./node_modules/@modelcontextprotocol/server-everything/dist/index.js');
