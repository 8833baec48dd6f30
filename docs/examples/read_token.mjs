// Call an API with the token of one credential:  node read_token.mjs ID URL
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis';

async function call(store, id, url) {
  let refused, asked;
  for (let until = Date.now() + 10_000; Date.now() < until; await sleep(250)) {
    const [token, generation] = await store.hmGet(`refreshd:token:${id}`, ['access_token', 'generation']);
    if (!token || generation === refused) {
      if (refused !== asked) { // read again, and still the same: ask for a refresh, once
        const cap = { TRIM: { strategy: 'MAXLEN', strategyModifier: '~', threshold: 1000 } };
        await store.xAdd('refreshd:requests', '*', { id, generation: refused }, cap);
      }
      asked = refused;
      continue;
    }
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    if (answer.status !== 401) return answer;
    refused = generation; // only a newer token is worth a call
    until = Date.now() + 10_000;
  }
  throw new Error(`no token of ${id} was accepted within 10 s; see refreshd:status:${id}`);
}

const store = await createClient({ url: process.env.REDIS_URL }).connect();
try {
  const answer = await call(store, process.argv[2], process.argv[3]);
  console.log(await answer.text());
} finally {
  store.destroy();
}
