/**
 * The state of one device, pure: what came goes in, commands come out.
 *
 * This is zchat/client/session.py for the page, tested by the same cases
 * (tests/cases/session.json). The gateway has subscribed, decrypted and
 * watched the heartbeat already; what is left is the part that must be right
 * wherever events may be lost between the gateway and the page:
 *
 * - A chat counts its messages (`seq`) and its changes (`revision`), both
 *   without a hole. The next number is taken, a smaller one dropped, a larger
 *   one held while `history` or `changes` fetches what is missing.
 * - An inbox counts too (`inbox`); a hole there is closed by `sync`, which
 *   repeats everything that an inbox event can say.
 * - `connected` starts from the top: sync, then fetch each chat up to its head.
 * - Another epoch is a restored store: everything known is forgotten.
 *
 * No clock, no network, no DOM. Every input returns the commands to carry out,
 * in order; the shell (client.js) reports the outcome of each.
 */

export const PAGE_LIMIT = 200;
export const HELD_LIMIT = 1000;
export const FETCHES_AT_ONCE = 8;
/** A chat this far behind jumps to its head; the log loads the rest on sight. */
export const SKIP_LIMIT = 1000;

/**
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./types.js").Sync} Sync
 * @typedef {import("./types.js").SyncChat} SyncChat
 * @typedef {import("./types.js").History} History
 * @typedef {import("./types.js").Changes} Changes
 * @typedef {Record<string, any>} EventMap
 *
 * @typedef {{ do: "sync" }} AskSync
 * @typedef {{ do: "fetch", chat_id: string, after: number, limit: number }} Fetch
 * @typedef {{ do: "changes", chat_id: string, after: number }} AskChanges
 * @typedef {{ do: "deliver", event: EventMap }} Deliver
 * @typedef {AskSync | Fetch | AskChanges | Deliver} Command
 */

/**
 * One chat as the device knows it: `cursor` and `revision` are the counts up
 * to which everything was delivered, `head` and `newest` the largest known.
 * `counted` is the head that `unread` includes.
 */
export class ChatState {
  /** @param {SyncChat} found */
  constructor(found, cursor = found.head) {
    this.id = found.id;
    this.name = found.name;
    this.title = found.title ?? found.name;
    this.kind = found.kind;
    this.cursor = cursor;
    this.head = Math.max(cursor, found.head);
    this.read = found.read;
    this.unread = found.unread;
    this.mentions = found.mentions ?? 0;
    this.requests = found.requests ?? 0;
    this.counted = found.head;
    this.revision = found.revision ?? 0;
    this.newest = this.revision;
    /** @type {Map<number, Message>} */
    this.held = new Map();
    /** @type {Map<number, EventMap>} */
    this.heldChanges = new Map();
    /** @type {Map<number, Message>} Changed before they were delivered. */
    this.newer = new Map();
    /** @type {Fetch | null} */
    this.fetching = null;
    /** @type {AskChanges | null} */
    this.changing = null;
    this.stalled = false;
  }
}

export class Session {
  /** @param {string} userId */
  constructor(userId) {
    this.userId = userId;
    /** @type {Map<string, ChatState>} */
    this.chats = new Map();
    /** @type {string | null} */
    this.epoch = null;
    /** @type {number | null} */
    this.inbox = null;
    /** @type {Command[]} */
    this._commands = [];
    /** @type {Map<string, number>} What a chat's cursor was when we left it. */
    this._left = new Map();
    /** @type {Set<string>} */
    this._behind = new Set();
    this._fetches = 0;
    this._connected = false;
    this._catchingUp = false;
    this._syncing = false;
    this._syncAgain = false;
    this._syncDue = false;
    this._syncedOnce = false;
    /** @type {Map<string, [number, number]>} Cursor and read as sync was asked. */
    this._atSync = new Map();
  }

  /** The stream is open and subscribed. */
  connected() {
    this._connected = true;
    this._catchingUp = true;
    this._askSync();
    return this._done();
  }

  /** The stream broke off; another is on its way. */
  disconnected() {
    this._connected = false;
    return this._done();
  }

  /** The answer to sync. @param {Sync} sync */
  synced(sync) {
    this._syncing = false;
    if (this.epoch !== null && this.epoch !== sync.epoch) this._forget();
    this.epoch = sync.epoch;
    if (sync.inbox !== undefined) this.inbox = sync.inbox;
    const present = new Set(sync.chats.map((chat) => chat.id));
    for (const chat of [...this.chats.values()]) {
      if (!present.has(chat.id)) this._remove(chat);
    }
    for (const found of sync.chats) this._merge(found);
    this._syncedOnce = true;
    for (const chat of this.chats.values()) this._catchUp(chat);
    if (this._syncAgain) this._askSync();
    return this._done();
  }

  /** The sync failed; the next tick asks again. */
  syncRefused() {
    this._syncing = false;
    this._syncDue = true;
    return this._done();
  }

  /** The answer to a fetch. @param {Fetch} fetch @param {History} page */
  fetched(fetch, page) {
    const chat = this._endFetch(fetch);
    if (chat) this._takePage(chat, fetch.after, page);
    return this._done();
  }

  /** The fetch failed: perhaps the chat is gone. @param {Fetch} fetch */
  fetchRefused(fetch) {
    const chat = this._endFetch(fetch);
    if (chat) {
      chat.stalled = true;
      this._askSync();
    }
    return this._done();
  }

  /** The answer to changes. @param {AskChanges} asked @param {Changes} found */
  changed(asked, found) {
    const chat = this._endFetch(asked);
    if (chat) this._takeChanges(chat, found);
    return this._done();
  }

  /** Asking for changes failed. @param {AskChanges} asked */
  changesRefused(asked) {
    return this.fetchRefused(/** @type {any} */ (asked));
  }

  /** One event of the stream. @param {EventMap} event */
  published(event) {
    if (this._inInboxOrder(event)) {
      const chat = this.chats.get(event.chat_id);
      const known = OF_CHAT[event.event];
      if (chat && event.event !== "head" && isCount(event.revision)) {
        this._onRevision(chat, event);
      } else if (chat && known) {
        known.call(this, chat, event);
      } else if (event.event in OF_INBOX) {
        OF_INBOX[event.event]?.call(this, event);
      } else if (!known) {
        this._deliver(event);
      }
    }
    return this._done();
  }

  /** Time passes: to be called about once a second. */
  tick() {
    if (this._connected) {
      if (this._syncDue) this._askSync();
      for (const chat of this.chats.values()) {
        if (chat.stalled) {
          chat.stalled = false;
          this._catchUp(chat);
        }
      }
    }
    return this._done();
  }

  _done() {
    this._startFetches();
    const waiting = this._syncing || this._fetches > 0 || this._syncDue;
    if (this._catchingUp && this._connected && !waiting) {
      this._catchingUp = false;
      this._deliver({ event: "caught_up" });
    }
    return this._commands.splice(0);
  }

  /** @param {EventMap} event */
  _deliver(event) {
    this._commands.push({ do: "deliver", event });
  }

  // Sync.

  /** An answer under way may be older than what made us ask. */
  _askSync() {
    if (this._syncing) {
      this._syncAgain = true;
      return;
    }
    this._syncing = true;
    this._syncAgain = false;
    this._syncDue = false;
    this._atSync = new Map();
    for (const [id, cursor] of this._left) this._atSync.set(id, [cursor, 0]);
    for (const chat of this.chats.values()) {
      this._atSync.set(chat.id, [chat.cursor, chat.read]);
    }
    this._commands.push({ do: "sync" });
  }

  /** The store was restored: nothing known holds any more. */
  _forget() {
    this.chats.clear();
    this._left.clear();
    this._behind.clear();
    this._syncedOnce = false;
    this._deliver({ event: "restored" });
  }

  /** @param {SyncChat} found */
  _merge(found) {
    const chat = this.chats.get(found.id);
    if (chat) {
      this._update(chat, found);
      return;
    }
    const left = this._left.get(found.id);
    this._left.delete(found.id);
    const cursor = this._syncedOnce ? (left ?? 0) : found.head;
    this.chats.set(found.id, new ChatState(found, cursor));
    if (this._syncedOnce) {
      this._deliver({
        event: "chat_added",
        chat_id: found.id,
        name: found.name,
        kind: found.kind,
      });
    }
  }

  /** @param {ChatState} chat @param {SyncChat} found */
  _update(chat, found) {
    const [cursorThen, readThen] = this._atSync.get(chat.id) ?? [0, 0];
    if (found.head < cursorThen || found.read < readThen) restore(chat, found);
    chat.head = Math.max(chat.head, found.head);
    chat.newest = Math.max(chat.newest, found.revision ?? 0);
    chat.kind = found.kind;
    chat.requests = found.requests ?? 0;
    const title = found.title ?? found.name;
    if (chat.name !== found.name || chat.title !== title) {
      chat.name = found.name;
      chat.title = title;
      this._deliver({
        event: "chat_renamed",
        chat_id: chat.id,
        name: chat.name,
      });
    }
    if (found.read > chat.read) {
      chat.read = found.read;
      this._deliver({ event: "read", chat_id: chat.id, seq: chat.read });
    }
    if (found.read < chat.read || found.head < chat.cursor) {
      this._syncDue = true;
    } else {
      chat.unread = found.unread;
      chat.mentions = found.mentions ?? 0;
      chat.counted = found.head;
    }
  }

  /** @param {ChatState} chat */
  _remove(chat) {
    this.chats.delete(chat.id);
    this._behind.delete(chat.id);
    this._left.set(chat.id, chat.cursor);
    this._deliver({ event: "chat_removed", chat_id: chat.id });
  }

  // Messages and changes: order, gaps, pages.

  /** @param {ChatState} chat */
  _catchUp(chat) {
    if (chat.head - chat.cursor > SKIP_LIMIT) {
      chat.cursor = chat.head;
      chat.fetching = null;
      for (const seq of chat.held.keys()) {
        if (seq <= chat.cursor) chat.held.delete(seq);
      }
      this._deliver({ event: "skipped", chat_id: chat.id, seq: chat.cursor });
      this._follow(chat);
    }
    const isBehind = chat.cursor < chat.head && !chat.fetching;
    const isChanged = chat.cursor >= chat.head && chat.revision < chat.newest && !chat.changing;
    if ((isBehind || isChanged) && !chat.stalled) this._behind.add(chat.id);
  }

  _startFetches() {
    for (const id of this._behind) {
      if (this._fetches >= FETCHES_AT_ONCE) break;
      this._behind.delete(id);
      const chat = this.chats.get(id);
      if (!chat) continue;
      if (chat.cursor < chat.head && !chat.fetching) {
        chat.fetching = {
          do: "fetch",
          chat_id: id,
          after: chat.cursor,
          limit: PAGE_LIMIT,
        };
        this._fetches += 1;
        this._commands.push(chat.fetching);
      }
      if (chat.cursor >= chat.head && chat.revision < chat.newest && !chat.changing) {
        chat.changing = { do: "changes", chat_id: id, after: chat.revision };
        this._fetches += 1;
        this._commands.push(chat.changing);
      }
    }
  }

  /** The chat that still waits for this answer. @param {Fetch | AskChanges} asked */
  _endFetch(asked) {
    this._fetches -= 1;
    const chat = this.chats.get(asked.chat_id);
    if (chat?.fetching === asked) {
      chat.fetching = null;
      return chat;
    }
    if (chat?.changing === asked) {
      chat.changing = null;
      return chat;
    }
    return null;
  }

  /**
   * What a page leaves out up to its end does not exist any more.
   * @param {ChatState} chat @param {number} after @param {History} page
   */
  _takePage(chat, after, page) {
    for (const message of page.messages) {
      if (message.seq > chat.cursor) chat.held.set(message.seq, message);
    }
    const last = page.messages.at(-1);
    const through = page.has_newer ? (last ? last.seq : after) : page.head;
    chat.head = Math.max(chat.head, page.head);
    this._advance(chat, through);
    this._followChanges(chat);
    chat.stalled = through <= after && chat.cursor < chat.head;
    this._catchUp(chat);
  }

  /** Deliver what is held up to a seq, and what follows. @param {ChatState} chat */
  _advance(chat, /** @type {number} */ through) {
    const due = [...chat.held.keys()].filter((seq) => seq <= through).sort((a, b) => a - b);
    for (const seq of due) this._take(chat, seq);
    chat.cursor = Math.max(chat.cursor, through);
    this._follow(chat);
  }

  /** Deliver what is held and next. @param {ChatState} chat */
  _follow(chat) {
    while (chat.held.has(chat.cursor + 1)) {
      chat.cursor += 1;
      this._take(chat, chat.cursor);
    }
  }

  /** @param {ChatState} chat @param {number} seq */
  _take(chat, seq) {
    let message = /** @type {Message} */ (chat.held.get(seq));
    chat.held.delete(seq);
    const newer = chat.newer.get(seq);
    if (newer && (newer.revision ?? 0) > (message.revision ?? 0)) message = newer;
    chat.newer.delete(seq);
    if (seq > Math.max(chat.counted, chat.read) && message.author.id !== this.userId) {
      chat.unread += 1;
      if (message.mentions?.includes(this.userId)) chat.mentions += 1;
    }
    this._deliver({ event: "message", chat_id: chat.id, seq, message });
  }

  /** @param {ChatState} chat @param {EventMap} event */
  _onRevision(chat, event) {
    chat.newest = Math.max(chat.newest, event.revision);
    if (event.revision > chat.revision && chat.heldChanges.size < HELD_LIMIT) {
      chat.heldChanges.set(event.revision, event);
    }
    this._followChanges(chat);
    this._catchUp(chat);
  }

  /**
   * Messages first: a change is delivered while no message is missing, so
   * that it is of one that was delivered. @param {ChatState} chat
   */
  _followChanges(chat) {
    for (const revision of chat.heldChanges.keys()) {
      if (revision <= chat.revision) chat.heldChanges.delete(revision);
    }
    while (chat.cursor >= chat.head) {
      const event = chat.heldChanges.get(chat.revision + 1);
      if (!event) return;
      chat.revision += 1;
      chat.heldChanges.delete(chat.revision);
      const known = OF_CHAT[event.event];
      if (known) known.call(this, chat, event);
      else if (event.event === "message_changed") this._change(chat, event.message);
      else this._deliver(event);
    }
  }

  /**
   * A message changed. One that was not delivered yet (its event may be
   * overtaken by a page of changes) is delivered as it is now.
   * @param {ChatState} chat @param {Message} message
   */
  _change(chat, message) {
    if (message.seq > chat.cursor) {
      chat.newer.set(message.seq, message);
      chat.head = Math.max(chat.head, message.seq);
      return;
    }
    this._deliver({ event: "message_changed", chat_id: chat.id, message });
  }

  /** @param {ChatState} chat @param {Changes} found */
  _takeChanges(chat, found) {
    for (const message of found.messages) this._change(chat, message);
    for (const { id, name } of found.renamed ?? []) {
      const event = { event: "member_renamed", chat_id: chat.id, user: { id, name } };
      OF_CHAT.member_renamed.call(this, chat, event);
    }
    const through = found.more ? (found.messages.at(-1)?.revision ?? 0) : found.revision;
    chat.stalled = through <= chat.revision && chat.revision < chat.newest;
    chat.revision = Math.max(chat.revision, through);
    chat.newest = Math.max(chat.newest, found.revision);
    if (found.chat) {
      this._rename(chat, found.chat.name, found.chat.title);
      this._deliver({
        event: "chat_changed",
        chat_id: chat.id,
        ...found.chat,
      });
    }
    this._followChanges(chat);
    this._catchUp(chat);
  }

  /** @param {ChatState} chat @param {string} name @param {string} [title] */
  _rename(chat, name, title) {
    const shown = title ?? (chat.kind === "p2p" ? chat.title : name);
    if (chat.name === name && chat.title === shown) return;
    chat.name = name;
    chat.title = shown;
    this._deliver({ event: "chat_renamed", chat_id: chat.id, name });
  }

  /**
   * Whether the event is to be taken: it has no count, or is next, or sync
   * will repeat what was missed. @param {EventMap} event
   */
  _inInboxOrder(event) {
    const count = event.inbox;
    if (!isCount(count) || this.inbox === null) return true;
    if (count <= this.inbox) return false;
    if (count > this.inbox + 1 || event.event === "inbox_head") {
      this._askSync();
    } else this.inbox = count;
    return true;
  }
}

/**
 * Whether an event is counted. What the gateway learnt only afterwards comes
 * with 0, which no event has. @param {unknown} count
 */
function isCount(count) {
  return Number.isSafeInteger(count) && /** @type {number} */ (count) > 0;
}

/** @param {ChatState} chat @param {SyncChat} found */
function restore(chat, found) {
  chat.cursor = Math.min(chat.cursor, found.head);
  chat.head = found.head;
  chat.read = found.read;
  chat.revision = Math.min(chat.revision, found.revision ?? 0);
  chat.newest = chat.revision;
  chat.held.clear();
  chat.heldChanges.clear();
  chat.newer.clear();
  chat.fetching = null;
  chat.changing = null;
}

/** @type {Record<string, (this: Session, chat: ChatState, event: EventMap) => void>} */
const OF_CHAT = {
  message(chat, event) {
    const message = /** @type {Message | undefined} */ (event.message);
    if (!message || !Number.isSafeInteger(message.seq)) return;
    chat.head = Math.max(chat.head, message.seq);
    if (message.seq <= chat.cursor) return;
    if (message.seq === chat.cursor + 1 || chat.held.size < HELD_LIMIT) {
      chat.held.set(message.seq, message);
    }
    this._follow(chat);
    this._followChanges(chat);
    this._catchUp(chat);
  },
  head(chat, event) {
    if (Number.isSafeInteger(event.seq)) {
      chat.head = Math.max(chat.head, event.seq);
    }
    if (Number.isSafeInteger(event.revision)) {
      chat.newest = Math.max(chat.newest, event.revision);
    }
    this._catchUp(chat);
  },
  chat_renamed(chat, event) {
    if (this._syncing) this._syncAgain = true;
    if (typeof event.name === "string") this._rename(chat, event.name);
  },
  member_renamed(chat, event) {
    const isTitle = chat.kind === "p2p" && event.user?.id !== this.userId;
    if (isTitle) this._rename(chat, chat.name, event.user.name);
    this._deliver(event);
  },
  key_changed() {},
};

/** @type {Record<string, (this: Session, event: EventMap) => void>} */
const OF_INBOX = {
  inbox_head() {},
  chat_added() {
    this._askSync();
  },
  chat_removed(event) {
    if (this._syncing) this._syncAgain = true;
    const chat = this.chats.get(event.chat_id);
    if (chat) this._remove(chat);
  },
  read(event) {
    const chat = this.chats.get(event.chat_id);
    if (!chat || !Number.isSafeInteger(event.seq) || event.seq <= chat.read) {
      return;
    }
    chat.read = event.seq;
    if (event.seq >= chat.head) {
      chat.unread = 0;
      chat.mentions = 0;
    } else {
      this._syncDue = true;
    }
    this._deliver({ event: "read", chat_id: chat.id, seq: event.seq });
  },
  mentioned(event) {
    this._syncDue = true;
    this._deliver(event);
  },
  join_requested(event) {
    this._syncDue = true;
    this._deliver(event);
  },
  join_answered(event) {
    this._syncDue = true;
    this._deliver(event);
  },
};

// An event may carry any name, also one that every object has.
Object.setPrototypeOf(OF_CHAT, null);
Object.setPrototypeOf(OF_INBOX, null);
