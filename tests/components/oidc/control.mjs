// The test's side door under /_t/: state is set and read here, never through the protocol.
import { readText } from './exchanges.mjs';

const MINT = { client: 'conf', n: 1, scope: 'openid offline_access read', sub: 'user' };

async function mint(provider, wish) {
  const { client: clientId, n, scope, sub, ttl } = { ...MINT, ...wish };
  const client = await provider.Client.find(clientId);
  if (!client) throw new TypeError(`unknown client ${clientId}`);
  const minted = [];
  for (let i = 0; i < n; i += 1) {
    const accountId = `${sub}-${i}`;
    const grant = new provider.Grant({ accountId, clientId });
    grant.addOIDCScope(scope);
    const grantId = await grant.save();
    const token = new provider.RefreshToken({
      accountId, client, grantId, gty: 'authorization_code', scope, authTime: Math.floor(Date.now() / 1000),
    });
    if (ttl) token.expiresIn = ttl;
    minted.push({ sub: accountId, grantId, refresh_token: await token.save() });
  }
  return minted;
}

/** Path -> what it does with the request's JSON body; the returned value is the answer. */
function routes({ provider, store, clients, ledger, faults, exchanges }) {
  return {
    mint: (wish) => mint(provider, wish),
    async revoke_grant({ grantId }) { // what an administrator or a changed password does
      store.revoke(grantId);
      store.delete('Grant', grantId);
      return {};
    },
    async fault(list) {
      if (list !== undefined) faults.replace(list);
      return faults.list;
    },
    async latency(wish) {
      if (wish !== undefined) exchanges.latencyMs = Number(wish.ms);
      return { ms: exchanges.latencyMs };
    },
    async secret({ client, secret }) {
      if (!clients.get(client)?.client_secret) throw new TypeError(`${client} has no secret`);
      clients.set(client, { ...clients.get(client), client_secret: secret });
      return {};
    },
    stats: async () => exchanges.stats(),
    ledger: async () => ledger.report((grantId, token) => store.isAlive(grantId, token)),
    async forget() { // counts and ledger only: grants live on
      exchanges.clear();
      ledger.clear();
      return {};
    },
  };
}

function answer(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

export function makeControl(parts) {
  const table = routes(parts);
  return async (req, res, name) => {
    if (!Object.hasOwn(table, name)) return answer(res, 404, { error: `no control named ${name}` });
    try {
      const text = await readText(req);
      return answer(res, 200, await table[name](text ? JSON.parse(text) : undefined));
    } catch (error) {
      return answer(res, 400, { error: String(error) });
    }
  };
}
