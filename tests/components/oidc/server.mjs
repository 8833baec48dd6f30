// A real OAuth 2.0 authorization server for the tests: rotation, reuse detection, and faults on request.
//
// It listens on loopback and prints "READY <issuer>" when it accepts connections. Environment:
//   PORT=0 (ephemeral)  ISSUER  AT_TTL=20  RT_TTL=3600 (seconds)  ROTATE=1  LATENCY_MS=0  QUIET=1
//   REDIRECT_URI        STDIN_OWNER=1: ends when its standard input does, so it never outlives the test that started it
// Controls, JSON over POST (or GET to read): /_t/mint /_t/revoke_grant /_t/fault /_t/latency /_t/secret /_t/stats
//   /_t/ledger /_t/forget; see control.mjs and faults.mjs.
import './runtime.mjs';

import http from 'node:http';

import { makeControl } from './control.mjs';
import { Exchanges } from './exchanges.mjs';
import { Faults } from './faults.mjs';
import { Ledger } from './ledger.mjs';
import { makeProvider, registrations } from './provider.mjs';
import { Store } from './store.mjs';

const setting = (name, otherwise) => process.env[name] ?? otherwise;

function assemble(issuer) {
  const ledger = new Ledger();
  const faults = new Faults();
  const exchanges = new Exchanges({ ledger, faults, latencyMs: Number(setting('LATENCY_MS', 0)) });
  const clients = registrations(setting('REDIRECT_URI', 'http://127.0.0.1:8765/callback'));
  const store = new Store({
    clients,
    onRefreshToken: (issue) => exchanges.onRefreshToken(issue),
    onPresented: (token) => exchanges.onPresented(token),
  });
  const provider = makeProvider({
    issuer,
    adapter: store.adapter(),
    accessTokenTtl: Number(setting('AT_TTL', 20)),
    refreshTokenTtl: Number(setting('RT_TTL', 3600)),
    rotate: setting('ROTATE', '1') === '1',
  });
  const control = makeControl({ provider, store, clients, ledger, faults, exchanges });
  const provide = provider.callback();
  return async (req, res) => {
    const { pathname } = new URL(req.url, 'http://loopback');
    if (pathname.startsWith('/_t/')) return control(req, res, pathname.slice('/_t/'.length));
    if (pathname === '/token' && req.method === 'POST') return exchanges.handle(req, res, provide);
    return provide(req, res);
  };
}

function serve() {
  let dispatch;
  const server = http.createServer((req, res) => {
    dispatch(req, res).catch((error) => { // a client that hangs up while its request is read
      if (error.code !== 'ECONNRESET') console.error('dispatch', error);
      res.destroy();
    });
  });
  server.listen(Number(setting('PORT', 0)), '127.0.0.1', () => {
    const issuer = setting('ISSUER', `http://127.0.0.1:${server.address().port}`);
    dispatch = assemble(issuer);
    console.log(`READY ${issuer}`);
  });
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
if (setting('STDIN_OWNER', '0') === '1') process.stdin.on('end', () => process.exit(0)).resume();
serve();
