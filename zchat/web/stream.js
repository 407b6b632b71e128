/**
 * The stream of events: `GET /events`, read with fetch so that the token
 * travels in a header, and opened again for as long as the page is wanted.
 *
 * It is always opened afresh, without Last-Event-ID: the session then asks for
 * what is missing, and only for that. The gateway sends a comment every 15
 * seconds; after 40 without a byte the connection is taken to be dead.
 */

import { Refused } from "./api.js";

const SILENCE_MILLISECONDS = 40_000;
const FIRST_WAIT = 400;
const LONGEST_WAIT = 10_000;

/** Takes text apart into events, across whatever pieces it comes in. */
export class EventParser {
  constructor() {
    this._rest = "";
  }

  /** @param {string} text @returns {Record<string, any>[]} */
  feed(text) {
    const blocks = (this._rest + text).split("\n\n");
    this._rest = blocks.pop() ?? "";
    return blocks.flatMap((block) => {
      const data = block
        .split("\n")
        .filter((line) => line.startsWith("data: "))
        .map((line) => line.slice(6))
        .join("\n");
      return data ? [JSON.parse(data)] : [];
    });
  }
}

export class EventStream {
  /**
   * @param {import("./api.js").Api} api
   * @param {{
   *   event: (event: Record<string, any>) => void,
   *   lost: () => void,
   *   refused: (error: Refused) => void,
   * }} on
   */
  constructor(api, on) {
    this._api = api;
    this._on = on;
    this._attempt = 0;
    this._closed = false;
    this._abort = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._silence = undefined;
    /** @type {() => void} */
    this._wake = () => {};
    this.retryAt = 0;
    void this._run();
  }

  /** Try at once instead of at the end of the wait. */
  retry() {
    this._attempt = 0;
    this._wake();
  }

  close() {
    this._closed = true;
    this._abort.abort();
    this._wake();
    clearTimeout(this._silence);
  }

  async _run() {
    while (!this._closed) {
      try {
        await this._read();
      } catch (error) {
        if (this._closed) return;
        if (error instanceof Refused && !error.isPassing) {
          this._on.refused(error);
          if (error.status === 401) return;
        }
      }
      clearTimeout(this._silence);
      if (this._closed) return;
      this._on.lost();
      await this._wait();
    }
  }

  async _read() {
    this._abort = new AbortController();
    this._listen();
    const response = await fetch("/events", {
      headers: { ...this._api.headers, Accept: "text/event-stream" },
      credentials: "omit",
      cache: "no-store",
      signal: this._abort.signal,
    });
    if (!response.ok || !response.body) {
      const problem = await response.json().catch(() => ({}));
      throw new Refused(response.status, problem);
    }
    const parser = new EventParser();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this._listen();
      for (const event of parser.feed(decoder.decode(value, { stream: true }))) {
        this._attempt = 0;
        this._on.event(event);
      }
    }
  }

  _listen() {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => this._abort.abort(), SILENCE_MILLISECONDS);
  }

  /** Wait longer after each failure, each page for a time of its own. */
  async _wait() {
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this._attempt);
    const wait = longest * (0.5 + Math.random() / 2);
    this._attempt += 1;
    this.retryAt = Date.now() + wait;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this._wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}
