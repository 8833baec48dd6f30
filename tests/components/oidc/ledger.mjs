// What was issued, presented and answered, token by token: what a test judges a client by.
// Tokens appear as the first 16 hex digits of their SHA-256, never as themselves.
import { createHash } from 'node:crypto';

export const seconds = () => Date.now() / 1000;
export const fingerprint = (token) => createHash('sha256').update(token).digest('hex').slice(0, 16);

export class Ledger {
  constructor() { this.clear(); }

  clear() {
    this.grants = new Map(); // grantId -> entries, in the order of issue
    this.presentations = new Map(); // fingerprint -> presentations, also of tokens this server never issued
  }

  issue({ token, grantId, expiresAt }) {
    const entry = {
      token: fingerprint(token), issued_at: seconds(), expires_at: expiresAt, delivered_at: null, key: token,
    };
    if (!this.grants.has(grantId)) this.grants.set(grantId, []);
    this.grants.get(grantId).push(entry);
    return entry;
  }

  present(token) {
    const presentation = {
      at: seconds(), fault: null, reached_grant_check: false, status: null, error: null, answered_at: null,
    };
    const mark = fingerprint(token);
    if (!this.presentations.has(mark)) this.presentations.set(mark, []);
    this.presentations.get(mark).push(presentation);
    return presentation;
  }

  presentedTwice(counts = () => true) {
    let tokens = 0;
    for (const list of this.presentations.values()) if (list.filter(counts).length > 1) tokens += 1;
    return tokens;
  }

  report(isAlive) {
    const grants = {};
    for (const [grantId, entries] of this.grants) {
      grants[grantId] = {
        alive: isAlive(grantId, entries.at(-1).key),
        tokens: entries.map(({ key, ...shown }) => this.#withPresentations(shown)),
      };
    }
    return grants;
  }

  #withPresentations(shown) {
    const presentations = this.presentations.get(shown.token) ?? [];
    return {
      ...shown,
      presented_at: presentations.map(({ at }) => at),
      answered: presentations.map(({ answered_at: at }) => at !== null),
      presentations,
    };
  }
}
