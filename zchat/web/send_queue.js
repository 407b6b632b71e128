/**
 * Messages on their way: kept in this browser until the server has each once.
 *
 * Each has an idempotency key from the moment it is written, so it may be sent
 * again after a lost connection, a reload or from a second tab: the server
 * takes it once. Within a chat one is under way at a time, in order.
 */

import { randomKey, Refused } from "./api.js";

/**
 * @typedef {{
 *   key: string, chat_id: string, text: string, comment_on: string | null,
 *   files: { file_id: string, name: string, size: number, type: string }[], created: string,
 *   state: "waiting" | "sending" | "sent" | "failed", reason: string, id: string | null,
 * }} Pending
 */

const RETRY_MILLISECONDS = 3000;

export class SendQueue {
  /**
   * @param {import("./api.js").Api} api @param {string} userId
   * @param {(chatId: string, failure?: Error) => void} changed
   */
  constructor(api, userId, changed) {
    this._api = api;
    this._place = `zchat.pending.${userId}`;
    this._changed = changed;
    this._closed = false;
    /** @type {Pending[]} */
    this.items = this._load();
    /** @type {Set<string>} */
    this._busy = new Set();
  }

  /** @returns {Pending[]} */
  _load() {
    try {
      const found = JSON.parse(localStorage.getItem(this._place) ?? "[]");
      return found.map((/** @type {Pending} */ one) => ({
        ...one,
        state: one.state === "failed" ? "failed" : "waiting",
      }));
    } catch {
      return [];
    }
  }

  _save() {
    try {
      localStorage.setItem(
        this._place,
        JSON.stringify(this.items.filter((one) => one.state !== "sent")),
      );
    } catch {
      // A full or forbidden storage costs the safety across a reload, no more.
    }
  }

  /** What is not yet in the chat's log. @param {string} chatId */
  of(chatId) {
    return this.items.filter((one) => one.chat_id === chatId);
  }

  /** @param {string} chatId @param {string} text @param {string | null} commentOn @param {Pending["files"]} files */
  add(chatId, text, commentOn, files) {
    this.items.push({
      key: randomKey(),
      chat_id: chatId,
      text,
      comment_on: commentOn,
      files,
      created: new Date().toISOString(),
      state: "waiting",
      reason: "",
      id: null,
    });
    this._save();
    this._changed(chatId);
    void this.flush();
  }

  /** @param {Pending} item */
  retry(item) {
    item.state = "waiting";
    this._save();
    this._changed(item.chat_id);
    void this.flush();
  }

  /** @param {Pending} item */
  discard(item) {
    this.items = this.items.filter((one) => one !== item);
    this._save();
    this._changed(item.chat_id);
  }

  /**
   * A message of ours is in the log. Its answer may still be under way, so the
   * oldest with the same content is taken to be it.
   * @param {import("./types.js").Message} message @param {string} chatId
   */
  arrived(message, chatId) {
    const found =
      this.items.find((one) => one.id === message.id) ??
      this.items.find(
        (one) =>
          one.chat_id === chatId &&
          one.state === "sending" &&
          one.text === message.text &&
          one.comment_on === message.is_comment_on,
      );
    if (!found) return;
    found.id = message.id;
    found.state = "sent";
    this.discard(found);
  }

  close() {
    this._closed = true;
  }

  /** Send what waits; called when something is added and when we are back. */
  async flush() {
    const chats = new Set(
      this.items.filter((one) => one.state === "waiting").map((one) => one.chat_id),
    );
    await Promise.all([...chats].map((chatId) => this._flushChat(chatId)));
  }

  /** @param {string} chatId */
  async _flushChat(chatId) {
    if (this._busy.has(chatId)) return;
    this._busy.add(chatId);
    try {
      for (;;) {
        const item = this.items.find((one) => one.chat_id === chatId && one.state === "waiting");
        if (!item || this._closed) return;
        if (!(await this._send(item))) {
          setTimeout(() => void this.flush(), RETRY_MILLISECONDS);
          return;
        }
      }
    } finally {
      this._busy.delete(chatId);
    }
  }

  /** Whether the next one may be tried. @param {Pending} item */
  async _send(item) {
    item.state = "sending";
    this._changed(item.chat_id);
    try {
      const sent = await this._api.post("/send", {
        chat_id: item.chat_id,
        message: item.text,
        comment_on: item.comment_on,
        files: item.files.length ? item.files.map((file) => file.file_id) : null,
        idempotency_key: item.key,
      });
      item.id = sent.id;
      item.state = "sent";
    } catch (error) {
      const isRefused = error instanceof Refused && !error.isPassing;
      item.state = isRefused ? "failed" : "waiting";
      item.reason = isRefused ? error.message : "";
      this._changed(item.chat_id, isRefused ? error : undefined);
      this._save();
      return isRefused;
    }
    this._save();
    this._changed(item.chat_id);
    return true;
  }
}
