// The provider's storage. Its own memory adapter is an LRU of 1,000 entries that drops tokens silently, so it cannot be used.
// Expired tokens stay: the provider itself must judge them.

export class Store {
  constructor({ clients, onRefreshToken, onPresented }) {
    this.entries = new Map(); // "Model:id" -> payload
    this.expiries = new Map(); // "Model:id" -> milliseconds since 1970
    this.uids = new Map();
    this.keysByGrant = new Map();
    Object.assign(this, { clients, onRefreshToken, onPresented });
  }

  put(model, id, payload, ttl) {
    const key = `${model}:${id}`;
    const expiresAt = ttl ? Date.now() + ttl * 1000 : Infinity;
    const isNew = !this.entries.has(key);
    this.entries.set(key, payload);
    this.expiries.set(key, expiresAt);
    if (payload.uid) this.uids.set(payload.uid, id);
    if (payload.grantId && model !== 'Grant') this.#join(payload.grantId, key);
    if (model === 'RefreshToken' && isNew) {
      this.onRefreshToken({ token: id, grantId: payload.grantId, expiresAt: expiresAt / 1000 });
    }
  }

  #join(grantId, key) {
    if (!this.keysByGrant.has(grantId)) this.keysByGrant.set(grantId, new Set());
    this.keysByGrant.get(grantId).add(key);
  }

  get(model, id) {
    if (model === 'Client') return this.clients.get(id);
    if (model === 'RefreshToken') this.onPresented(id);
    return this.entries.get(`${model}:${id}`);
  }

  delete(model, id) {
    this.entries.delete(`${model}:${id}`);
    this.expiries.delete(`${model}:${id}`);
  }

  revoke(grantId) {
    for (const key of this.keysByGrant.get(grantId) ?? []) {
      this.entries.delete(key);
      this.expiries.delete(key);
    }
    this.keysByGrant.delete(grantId);
  }

  /** Whether this refresh token, the newest of its grant, would still be honoured. */
  isAlive(grantId, token) {
    const key = `RefreshToken:${token}`;
    const payload = this.entries.get(key);
    return this.entries.has(`Grant:${grantId}`) && payload !== undefined && !payload.consumed
      && this.expiries.get(key) > Date.now();
  }

  /** The adapter class that oidc-provider asks for, one instance per model. */
  adapter() {
    const store = this;
    return class {
      constructor(model) { this.model = model; }

      async upsert(id, payload, ttl) { store.put(this.model, id, payload, ttl); }

      async find(id) { return store.get(this.model, id); }

      async findByUid(uid) { return store.get(this.model, store.uids.get(uid)); }

      async findByUserCode() { return undefined; }

      async consume(id) {
        const payload = store.entries.get(`${this.model}:${id}`);
        if (payload) payload.consumed = Math.floor(Date.now() / 1000);
      }

      async destroy(id) { store.delete(this.model, id); }

      async revokeByGrantId(grantId) { store.revoke(grantId); }
    };
  }
}
