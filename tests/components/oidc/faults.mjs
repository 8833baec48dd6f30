// What can go wrong at a token endpoint. A fault is {mode, client?, count?, ms?, status?, headers?, body?}:
// without `client` it meets everyone, without `count` it lasts until the list is replaced.
import { setTimeout as pause } from 'node:timers/promises';

const BEFORE = { // these act before the provider; true = the request goes no further
  async reply({ status = 503, headers = {}, body = '' }, { res }) {
    res.writeHead(status, headers);
    res.end(body);
    return true;
  },
  async hang() { return true; },
  async reset(fault, { req }) {
    req.socket.resetAndDestroy();
    return true;
  },
  async slow({ ms = 1000 }) {
    await pause(ms);
    return false;
  },
};

const ANSWER = { // these let the provider act, rotation included, and spoil its answer
  lost(fault, { req, res }) {
    res.end = () => { req.socket.resetAndDestroy(); return res; };
  },
  late({ ms = 1000 }, { res }) { delayAnswer(res, ms); },
  truncate(fault, { req, res }) {
    res.end = (body) => {
      res.write(String(body).slice(0, 20), () => setTimeout(() => req.socket.destroy(), 20));
      return res;
    };
  },
};

export const MODES = [...Object.keys(BEFORE), ...Object.keys(ANSWER)];

export function delayAnswer(res, ms) {
  const end = res.end.bind(res);
  res.end = (...answer) => {
    setTimeout(() => { if (!res.destroyed) end(...answer); }, ms);
    return res;
  };
}

export class Faults {
  constructor() { this.list = []; }

  replace(list) {
    const unknown = list.find(({ mode }) => !MODES.includes(mode));
    if (unknown) throw new TypeError(`unknown fault mode ${unknown.mode}; known: ${MODES.join(', ')}`);
    this.list = list.map((fault) => ({ ...fault }));
  }

  /** The first fault that meets this client; one of its `count` is used up. */
  take(client) {
    const fault = this.list.find((one) => one.client === undefined || one.client === client);
    if (fault?.count !== undefined) {
      fault.count -= 1;
      if (fault.count <= 0) this.list.splice(this.list.indexOf(fault), 1);
    }
    return fault;
  }

  spoilAnswer(fault, exchange) {
    ANSWER[fault?.mode]?.(fault, exchange);
  }

  /** True when the request must not reach the provider: the fault has dealt with it. */
  async keepFromProvider(fault, exchange) {
    return await BEFORE[fault?.mode]?.(fault, exchange) ?? false;
  }
}
