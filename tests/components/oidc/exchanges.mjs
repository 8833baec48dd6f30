// Every request to the token endpoint passes through here: read, counted, entered in the ledger, spoiled if a fault says so.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as pause } from 'node:timers/promises';

import { delayAnswer } from './faults.mjs';
import { fingerprint, seconds } from './ledger.mjs';

export async function readText(req) {
  const chunks = [];
  for await (const chunk of req.iterator({ destroyOnReturn: false })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function clientOf(req, form) {
  const [scheme, credentials] = (req.headers.authorization ?? '').split(' ');
  if (scheme.toLowerCase() !== 'basic' || !credentials) return form.get('client_id') ?? '';
  const [id] = Buffer.from(credentials, 'base64').toString().split(':');
  return new URLSearchParams(`id=${id}`).get('id'); // RFC 6749 §2.3.1: form-encoded inside Basic
}

const increment = (counts, key) => { counts[key] = (counts[key] ?? 0) + 1; };

function errorOf(status, body) {
  try {
    return JSON.parse(body).error ?? `http_${status}`;
  } catch {
    return `http_${status}`;
  }
}

export class Exchanges {
  constructor({ ledger, faults, latencyMs }) {
    this.current = new AsyncLocalStorage();
    Object.assign(this, { ledger, faults, latencyMs });
    this.clear();
  }

  clear() {
    this.counts = {
      token_requests: 0, ok: 0, err: 0, unanswered: 0, faulted: 0, rotated: 0, by_error: {}, refused: {},
      in_flight: 0, max_inflight: 0,
    };
    this.byClient = {};
  }

  stats() {
    return {
      ...this.counts,
      by_client: this.byClient,
      presented: [...this.ledger.presentations.values()].reduce((sum, list) => sum + list.length, 0),
      presented_twice: this.ledger.presentedTwice(),
      presented_twice_accepted_check: this.ledger.presentedTwice((one) => one.reached_grant_check),
    };
  }

  async handle(req, res, provide) {
    const exchange = { req, res, issued: null, presentation: null, fault: null, mark: null };
    this.#count(exchange);
    const text = await readText(req);
    const form = new URLSearchParams(text);
    const client = clientOf(req, form);
    this.#countClient(client, res);
    if (form.get('grant_type') === 'refresh_token' && form.has('refresh_token')) {
      exchange.presentation = this.ledger.present(form.get('refresh_token'));
      exchange.mark = fingerprint(form.get('refresh_token'));
    }
    req.body = text; // oidc-provider takes a body that was read before it
    const fault = this.#takeFault(client, exchange);
    const latencyMs = this.latencyMs; // half on the way in, half on the way out
    this.faults.spoilAnswer(fault, exchange);
    if (latencyMs > 0) delayAnswer(res, latencyMs / 2);
    this.#watchAnswer(exchange);
    if (latencyMs > 0) await pause(latencyMs / 2);
    if (await this.faults.keepFromProvider(fault, exchange)) return;
    this.current.run(exchange, () => provide(req, res));
  }

  /** A refresh token was issued; inside an exchange, its answer will carry it. */
  onRefreshToken(issue) {
    const entry = this.ledger.issue(issue);
    const exchange = this.current.getStore();
    if (!exchange) return;
    exchange.issued = entry;
    if (exchange.presentation) this.counts.rotated += 1;
  }

  /** The provider looked a refresh token up: its client was authenticated and the grant is being judged. */
  onPresented(token) {
    const exchange = this.current.getStore();
    if (exchange?.mark === fingerprint(token)) exchange.presentation.reached_grant_check = true;
  }

  #count(exchange) {
    const { counts } = this; // a reset starts new counts; what is in flight ends in the old ones
    counts.token_requests += 1;
    counts.in_flight += 1;
    counts.max_inflight = Math.max(counts.max_inflight, counts.in_flight);
    exchange.res.on('finish', () => this.#finished(exchange, counts));
    exchange.res.on('close', () => {
      counts.in_flight -= 1;
      if (!exchange.res.writableFinished) counts.unanswered += 1;
    });
  }

  #takeFault(client, exchange) {
    exchange.fault = this.faults.take(client) ?? null;
    if (exchange.fault === null) return null;
    this.counts.faulted += 1;
    if (exchange.presentation) exchange.presentation.fault = exchange.fault.mode;
    return exchange.fault;
  }

  #countClient(client, res) {
    const counts = this.byClient[client] ??= { requests: 0, in_flight: 0, max_inflight: 0 };
    counts.requests += 1;
    counts.in_flight += 1;
    counts.max_inflight = Math.max(counts.max_inflight, counts.in_flight);
    res.on('close', () => { counts.in_flight -= 1; });
  }

  #finished({ res, presentation, issued, fault, error }, counts) {
    if (presentation) presentation.answered_at = seconds();
    if (issued) issued.delivered_at = seconds();
    if (res.statusCode === 200) {
      counts.ok += 1;
      return;
    }
    counts.err += 1;
    increment(counts.by_error, error);
    if (fault?.mode !== 'reply' && res.statusCode < 500) increment(counts.refused, error);
  }

  /** Notes what was decided at the moment it is decided, whether or not the answer arrives. */
  #watchAnswer(exchange) {
    const { res, presentation } = exchange;
    const end = res.end.bind(res);
    res.end = (body, ...rest) => {
      exchange.error = res.statusCode === 200 ? null : errorOf(res.statusCode, body);
      if (presentation) Object.assign(presentation, { status: res.statusCode, error: exchange.error });
      return end(body, ...rest);
    };
  }
}
