/**
 * The page's connection: carries out the session's commands over HTTP, keeps
 * what the screen shows, and tells the screen what changed.
 *
 * It emits: `state` (the connection), `chats` (the list), `chat` (an id: its
 * log), `message` (a new one), `members` (an id), `me`, `scheduled`,
 * `requests` (an id), `trouble` (an Error to show), `gone` (the token is dead).
 */

import { Api, Refused } from "./api.js";
import { Emitter } from "./dom.js";
import { Messages } from "./messages.js";
import { SendQueue } from "./send_queue.js";
import { Session } from "./session.js";
import { EventStream } from "./stream.js";
import { madeAt } from "./when.js";

const PAGE = 100;
const TYPING_MILLISECONDS = 6000;
const TYPING_EVERY = 3000;
const READ_DELAY = 300;
const PRESENCE_MILLISECONDS = 45_000;
const MOST_MEMBERS = 1000;
/** The events that are about the stream itself. */
const OF_STREAM = new Set(["open", "caught_up", "reset", "heartbeat"]);

/**
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./types.js").Member} Member
 */

/** What the page knows of one chat beside the session's counts. */
class ChatView {
  /** @param {import("./session.js").ChatState} state */
  constructor(state) {
    this.state = state;
    this.messages = new Messages(state.head);
    /** @type {Message | null} */
    this.last = null;
    /** @type {Map<string, { name: string, until: number }>} */
    this.typing = new Map();
    /** @type {Member[] | null} */
    this.members = null;
    this.size = 0;
    /** @type {string | null} Who owns this group, once it is known. */
    this.ownerId = null;
    /** The page that is being loaded, if any. @type {Promise<void> | null} */
    this.loading = null;
    /** @type {Error | null} */
    this.failure = null;
    /** @type {number} The newest seq read here, though not yet told. */
    this.reading = 0;
    this.typedAt = 0;
  }

  /** When something happened here last, in milliseconds. */
  get moved() {
    const made = madeAt(this.state.id) || 0;
    return this.last ? Math.max(made, new Date(this.last.created).getTime()) : made;
  }
}

export class Client extends Emitter {
  /** @param {import("./identities.js").Identity} identity */
  constructor(identity) {
    super();
    this.identity = identity;
    this.api = new Api(identity.token);
    this.session = new Session(identity.user_id);
    /** @type {Map<string, ChatView>} */
    this.chats = new Map();
    /** @type {import("./types.js").Me} */
    this.me = {
      id: identity.user_id,
      name: identity.name,
      banned_until: null,
      quota: null,
    };
    /** @type {"connecting" | "open" | "lost"} */
    this.state = "connecting";
    this.queue = new SendQueue(this.api, identity.user_id, (chatId, failure) => {
      this.emit("chat", chatId);
      if (failure) this._refusedSend(failure);
    });
    this.stream = new EventStream(this.api, {
      event: (event) => this._event(event),
      lost: () => this._lost(),
      refused: (error) => (error.status === 401 ? this.emit("gone") : this.emit("trouble", error)),
    });
    this._ticker = setInterval(() => this._tick(), 1000);
    this._presence = setInterval(() => this._refreshPresence(), PRESENCE_MILLISECONDS);
    /** @type {string | null} The chat on screen. */
    this.openChat = null;
    this._retryNow = () => !document.hidden && this.state !== "open" && this.stream.retry();
    addEventListener("online", this._retryNow);
    document.addEventListener("visibilitychange", this._retryNow);
  }

  close() {
    this.stream.close();
    this.queue.close();
    clearInterval(this._ticker);
    clearInterval(this._presence);
    removeEventListener("online", this._retryNow);
    document.removeEventListener("visibilitychange", this._retryNow);
  }

  /** @param {string | null | undefined} id */
  chat(id) {
    return id ? this.chats.get(id) : undefined;
  }

  /** The id of the chat that everyone is in, if the caller is. */
  get commonChat() {
    return [...this.chats.values()].find((one) => one.state.kind === "common")?.state.id ?? null;
  }

  /** The chats, what happened last first. */
  inOrder() {
    return [...this.chats.values()].sort((one, other) => other.moved - one.moved);
  }

  // The stream and the session.

  /** @param {Record<string, any>} event */
  _event(event) {
    if (OF_STREAM.has(event.event)) {
      const isOther =
        event.epoch !== undefined && ![null, event.epoch].includes(this.session.epoch);
      if (event.event === "caught_up" || (isOther && event.event !== "open")) {
        this._run(this.session.connected());
      }
    } else {
      this._run(this.session.published(event));
    }
  }

  _lost() {
    this._setState(this.chats.size || this.state === "lost" ? "lost" : "connecting");
    this._run(this.session.disconnected());
  }

  /** @param {"connecting" | "open" | "lost"} state */
  _setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.emit("state", state);
  }

  _tick() {
    this._run(this.session.tick());
    const now = Date.now();
    for (const [id, chat] of this.chats) {
      for (const [userId, typing] of chat.typing) {
        if (typing.until > now) continue;
        chat.typing.delete(userId);
        this.emit("typing", id);
      }
    }
  }

  /** @param {import("./session.js").Command[]} commands */
  _run(commands) {
    for (const command of commands) {
      if (command.do === "deliver") this._deliver(command.event);
      else if (command.do === "sync") void this._sync();
      else if (command.do === "fetch") void this._fetch(command);
      else void this._changes(command);
    }
  }

  async _sync() {
    try {
      const sync = await this.api.get("/sync");
      this._run(this.session.synced(sync));
      if (sync.user) this._setMe(sync.user);
      this._adopt();
      this.emit("chats");
    } catch (error) {
      this._run(this.session.syncRefused());
      if (error instanceof Refused && error.status === 401) this.emit("gone");
      else this._setState("lost");
    }
  }

  /** @param {import("./session.js").Fetch} fetch */
  async _fetch(fetch) {
    try {
      const { chat_id, after, limit } = fetch;
      const page = await this.api.get("/history", { chat_id, after, limit });
      this._run(this.session.fetched(fetch, page));
      this.chat(chat_id)?.messages.addPage(page, { after });
      this.emit("chat", chat_id);
    } catch {
      this._run(this.session.fetchRefused(fetch));
    }
  }

  /** @param {import("./session.js").AskChanges} asked */
  async _changes(asked) {
    try {
      const { chat_id, after } = asked;
      this._run(this.session.changed(asked, await this.api.get("/changes", { chat_id, after })));
    } catch {
      this._run(this.session.changesRefused(asked));
    }
  }

  /** Have a view for each chat of the session. */
  _adopt() {
    let isNew = false;
    for (const state of this.session.chats.values()) {
      const view = this.chats.get(state.id);
      if (view) view.state = state;
      else this.chats.set(state.id, new ChatView(state));
      isNew ||= !view;
    }
    if (isNew) void this._loadLast();
  }

  /** The newest message of each chat, for the list. */
  async _loadLast() {
    try {
      let after = null;
      do {
        const page = await this.api.get("/chats", {
          depth: 1,
          limit: 200,
          after,
        });
        for (const found of page.chats) {
          const view = this.chats.get(found.id);
          if (!view) continue;
          view.size = found.size;
          const last = found.messages[0];
          if (last && last.seq >= (view.last?.seq ?? 0)) view.last = last;
        }
        after = page.chats.length === 200 ? page.chats.at(-1).id : null;
      } while (after);
      this.emit("chats");
    } catch {
      // The list shows no previews until the next event of each chat.
    }
  }

  /** @param {Record<string, any>} event */
  _deliver(event) {
    ON_EVENT[event.event]?.call(this, event, this.chats.get(event.chat_id));
  }

  /** @param {Partial<import("./types.js").Me>} changed */
  _setMe(changed) {
    this.me = { ...this.me, ...changed };
    this.emit("me");
  }

  /** @param {Error} error */
  _refusedSend(error) {
    this.emit("trouble", error);
    if (error instanceof Refused && error.code === "banned") {
      this._setMe({ banned_until: error.data.until });
    }
    if (error instanceof Refused && error.code === "unauthorized") {
      this.emit("gone");
    }
    void this.refreshMe();
  }

  /** Ask how the caller stands: banned, and what is left of the quota. */
  async refreshMe() {
    try {
      this._setMe((await this.api.get("/status")).user);
    } catch {
      // It is asked again with the next sync.
    }
  }

  // What the screen asks for.

  /**
   * Load a page that holds a seq, from the end that is on screen.
   * @param {string} chatId @param {{ before?: number, after?: number, around?: number }} where
   */
  load(chatId, where) {
    const chat = this.chats.get(chatId);
    if (!chat || chat.loading) return chat?.loading ?? Promise.resolve();
    chat.loading = this._load(chatId, chat, where).finally(() => {
      chat.loading = null;
      this.emit("chat", chatId);
    });
    return chat.loading;
  }

  /** @param {string} chatId @param {ChatView} chat @param {{ before?: number, after?: number, around?: number }} where */
  async _load(chatId, chat, where) {
    try {
      const page = await this.api.get("/history", {
        chat_id: chatId,
        limit: PAGE,
        ...where,
      });
      chat.failure = null;
      chat.messages.addPage(page, where);
    } catch (error) {
      chat.failure = /** @type {Error} */ (error);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** Everything up to this seq has been on screen. @param {string} chatId @param {number} seq */
  markRead(chatId, seq) {
    const chat = this.chats.get(chatId);
    if (!chat || seq <= Math.max(chat.state.read, chat.reading)) return;
    const isAsked = chat.reading > chat.state.read;
    chat.reading = seq;
    if (!isAsked) {
      setTimeout(() => void this._tellRead(chatId, chat), READ_DELAY);
    }
  }

  /** @param {string} chatId @param {ChatView} chat */
  async _tellRead(chatId, chat) {
    const seq = chat.reading;
    try {
      const stands = await this.api.post("/read", { chat_id: chatId, seq });
      this._run(
        this.session.published({
          event: "read",
          chat_id: chatId,
          seq: stands.seq,
        }),
      );
    } catch {
      chat.reading = 0;
      return;
    }
    if (chat.reading > seq) void this._tellRead(chatId, chat);
  }

  /** @param {string} chatId */
  typed(chatId) {
    const chat = this.chats.get(chatId);
    if (!chat || Date.now() - chat.typedAt < TYPING_EVERY) return;
    chat.typedAt = Date.now();
    this.api.post("/typing", { chat_id: chatId }).catch(() => {});
  }

  /** Who owns a group; sync does not tell. @param {string} chatId */
  async loadFacts(chatId) {
    const chat = this.chats.get(chatId);
    if (!chat || chat.state.kind !== "group") return;
    const after = chat.state.revision;
    const found = await this.api.get("/changes", { chat_id: chatId, after, limit: 1 });
    chat.ownerId = found.chat.owner_id;
    chat.size = found.chat.size;
    this.emit("members", chatId);
  }

  /** Members of a chat, with roles and presence. @param {string} chatId */
  async loadMembers(chatId) {
    const chat = this.chats.get(chatId);
    if (!chat) return;
    /** @type {Member[]} */
    const members = [];
    for (;;) {
      const after = members.at(-1)?.id;
      const page = (await this.api.get("/users", { chat_id: chatId, limit: 200, after })).users;
      members.push(...page);
      if (page.length < 200 || members.length >= MOST_MEMBERS) break;
    }
    chat.members = members;
    if (chat.messages.nameAuthors(members)) this.emit("chat", chatId);
    chat.size = Math.max(members.length, members.length < MOST_MEMBERS ? 0 : chat.size);
    this.emit("members", chatId);
  }

  _refreshPresence() {
    if (document.hidden || this.state !== "open" || !this.openChat) return;
    this.loadMembers(this.openChat).catch(() => {});
  }

  /** Whether the caller owns this group. @param {ChatView} chat */
  isOwner(chat) {
    return chat.state.kind === "group" && chat.ownerId === this.me.id;
  }

  get isModerator() {
    return this.me.role === "moderator" || this.me.role === "admin";
  }

  /** @param {string} userId */
  nameOf(userId) {
    if (userId === this.me.id) return this.me.name;
    for (const chat of this.chats.values()) {
      const found = chat.members?.find((one) => one.id === userId);
      if (found) return found.name;
    }
    return null;
  }
}

/**
 * What each delivered event does to what is shown.
 * @type {Record<string, (this: Client, event: Record<string, any>, chat: ChatView | undefined) => void>}
 */
const ON_EVENT = {
  caught_up() {
    this._adopt();
    this._setState("open");
    this.emit("chats");
    this._refreshPresence();
    void this.queue.flush();
  },
  restored() {
    this.chats.clear();
    this.emit("restored");
  },
  message(event, chat) {
    if (!chat) return;
    const message = /** @type {Message} */ (event.message);
    chat.messages.append(message);
    chat.last = message;
    chat.typing.delete(message.author.id);
    if (message.author.id === this.me.id) {
      this.queue.arrived(message, event.chat_id);
      if (this.me.quota) void this.refreshMe();
    }
    this.emit("message", { chat, message });
    this.emit("chat", event.chat_id);
    this.emit("chats");
  },
  message_changed(event, chat) {
    if (!chat || !event.message) return;
    chat.messages.change(event.message);
    if (chat.last?.id === event.message.id) chat.last = event.message;
    this.emit("chat", event.chat_id);
    this.emit("chats");
  },
  skipped(event, chat) {
    chat?.messages.grow(event.seq);
    this.emit("chat", event.chat_id);
    void this._loadLast();
  },
  chat_added(event) {
    this._adopt();
    this.emit("chats");
    this.emit("added", event.chat_id);
  },
  chat_removed(event) {
    this.chats.delete(event.chat_id);
    this.emit("removed", event.chat_id);
    this.emit("chats");
  },
  chat_renamed() {
    this.emit("chats");
  },
  chat_changed(event, chat) {
    if (!chat) return;
    chat.ownerId = event.owner_id ?? null;
    if (chat.members) this.loadMembers(event.chat_id).catch(() => {});
    this.emit("chats");
  },
  owner_changed(event, chat) {
    if (chat) chat.ownerId = event.owner_id;
    this.emit("members", event.chat_id);
  },
  member_renamed(event, chat) {
    if (!chat) return;
    chat.messages.nameAuthors([event.user]);
    for (const member of chat.members ?? []) {
      if (member.id === event.user.id) member.name = event.user.name;
    }
    if (chat.last && chat.last.author.id === event.user.id) {
      chat.last = { ...chat.last, author: event.user };
    }
    this.emit("members", event.chat_id);
    this.emit("chat", event.chat_id);
    this.emit("chats");
  },
  read(event, chat) {
    if (chat) chat.reading = Math.max(chat.reading, event.seq);
    this.emit("chats");
    this.emit("chat", event.chat_id);
  },
  expired(event, chat) {
    if (typeof event.seq === "number") chat?.messages.expire(event.seq);
    this.emit("chat", event.chat_id);
  },
  member_joined(event, chat) {
    if (chat?.members) this.loadMembers(event.chat_id).catch(() => {});
  },
  member_left(event, chat) {
    if (chat?.members) this.loadMembers(event.chat_id).catch(() => {});
  },
  typing(event, chat) {
    const user = event.user ?? {
      id: event.user_id,
      name: this.nameOf(event.user_id),
    };
    if (!chat || !user.id || user.id === this.me.id) return;
    chat.typing.set(user.id, {
      name: user.name ?? "Somebody",
      until: Date.now() + TYPING_MILLISECONDS,
    });
    this.emit("typing", event.chat_id);
  },
  seen(event, chat) {
    const member = chat?.members?.find((one) => one.id === event.user_id);
    if (!member || typeof event.seq !== "number") return;
    member.read = Math.max(member.read ?? 0, event.seq);
    this.emit("members", event.chat_id);
    this.emit("chat", event.chat_id);
  },
  mentioned(event) {
    this.emit("chats", event);
  },
  banned(event) {
    this._setMe({ banned_until: event.until ?? null });
  },
  settings_changed(event) {
    this._setMe({ receipts: event.receipts });
  },
  renamed(event) {
    this._setMe({ name: event.name });
  },
  role_changed(event) {
    this._setMe({ role: event.role });
  },
  scheduled_sent() {
    this.emit("scheduled");
  },
  scheduled_failed(event) {
    this.emit("scheduled");
    this.emit("trouble", new Error(`A scheduled message could not be sent (${event.error}).`));
  },
  scheduled_changed() {
    this.emit("scheduled");
  },
  join_requested(event) {
    this.emit("requests", event);
    this.emit("chats");
  },
  join_answered(event) {
    this.emit("members", event.chat_id);
  },
  join_decided(event) {
    this.emit("decided", event);
  },
};

Object.setPrototypeOf(ON_EVENT, null);

/** @typedef {ChatView} View */
