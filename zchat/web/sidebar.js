/** The list of chats, the search, and who one is. */

import { reasonOf } from "./api.js";
import { avatar, fill, framed, freshId, h, iconButton } from "./dom.js";
import { excerpt, folded } from "./text.js";
import { short } from "./when.js";

const SEARCH_DELAY = 200;
const SHORTEST_SEARCH = 2;

/** @typedef {import("./client.js").View} View */

export class Sidebar {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this._app = app;
    this._client = app.client;
    this._search = h("input", {
      type: "search",
      "aria-label": "Search",
      placeholder: "Search",
      autocomplete: "off",
      dir: "auto",
      oninput: () => this._searched(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape") this._endSearch();
      },
    });
    this._list = h("ul", { class: "chat-list" });
    this._found = h("section", { class: "found", "aria-label": "Search results", hidden: true });
    this._me = h("button", {
      type: "button",
      class: "me",
      onclick: () => app.settings.show(),
    });
    this.element = h(
      "div",
      { class: "sidebar" },
      h(
        "header",
        { class: "sidebar-head" },
        h("h1", {}, "zchat"),
        iconButton("plus", "New group", () => app.actions.newGroup()),
      ),
      h("search", { class: "search" }, this._search),
      h("nav", { class: "chats", "aria-label": "Chats" }, this._list),
      this._found,
      h(
        "footer",
        { class: "sidebar-foot" },
        this._me,
        iconButton("leave", "Sign out", () => app.signOut()),
      ),
    );
    /** @type {Map<string, { element: HTMLElement, key: string }>} */
    this._shown = new Map();
    this._draw = framed(() => this._drawList());
    for (const name of ["chats", "state", "requests"]) {
      this._client.on(name, this._draw);
    }
    this._client.on("me", () => this._drawMe());
    this._drawMe();
    this._client.on("typing", this._draw);
  }

  draw() {
    this._draw();
  }

  _drawMe() {
    const { id, name } = this._client.me;
    fill(
      this._me,
      avatar(id, name),
      h("span", { class: "me-name" }, h("bdi", {}, name), h("span", { class: "hint" }, "Settings")),
    );
  }

  _drawList() {
    const wanted = folded(this._search.value.trim());
    const chats = this._client.inOrder().filter((one) => folded(one.state.title).includes(wanted));
    const present = new Set(chats.map((one) => one.state.id));
    for (const [id, { element }] of this._shown) {
      if (present.has(id)) continue;
      element.remove();
      this._shown.delete(id);
    }
    chats.forEach((chat, index) => {
      const element = this._itemOf(chat);
      if (this._list.children[index] !== element) {
        this._list.insertBefore(element, this._list.children[index] ?? null);
      }
    });
  }

  /** The list's item of a chat, made again only when it looks otherwise. @param {View} chat */
  _itemOf(chat) {
    const { state, last } = chat;
    const isOpen = this._client.openChat === state.id;
    const typing = [...chat.typing.values()].map((one) => one.name);
    const key = JSON.stringify([
      state.title,
      state.kind,
      state.unread,
      state.mentions,
      state.requests,
      isOpen,
      last?.id,
      last?.revision,
      typing,
    ]);
    const shown = this._shown.get(state.id);
    if (shown?.key === key) return shown.element;
    const element = this._newItem(chat, isOpen, typing);
    if (shown) {
      const hadFocus = shown.element.contains(document.activeElement);
      shown.element.replaceWith(element);
      if (hadFocus) element.querySelector("a")?.focus({ preventScroll: true });
    }
    this._shown.set(state.id, { element, key });
    return element;
  }

  /** @param {View} chat @param {boolean} isOpen @param {string[]} typing */
  _newItem(chat, isOpen, typing) {
    const { state, last } = chat;
    const moreId = freshId();
    const words = typing.length ? `${typing[0]} is typing…` : previewOf(chat, this._client.me.id);
    const counts = [
      state.requests > 0 &&
        h(
          "span",
          { class: "badge request", title: "Requests to join" },
          `${state.requests} waiting`,
        ),
      state.mentions > 0 && h("span", { class: "badge mention" }, "@"),
      state.unread > 0 &&
        h(
          "span",
          { class: "badge" },
          state.unread > 999 ? "999+" : String(state.unread),
          h("span", { class: "visually-hidden" }, " unread"),
        ),
    ];
    const link = {
      href: `#${state.id}`,
      class: "chat-link",
      "aria-describedby": moreId,
      "aria-current": isOpen ? "page" : null,
    };
    return h(
      "li",
      { class: state.unread > 0 ? "chat-item unread" : "chat-item" },
      avatar(state.id, state.title, state.kind),
      h(
        "div",
        { class: "chat-words" },
        h(
          "div",
          { class: "chat-top" },
          h("a", link, h("bdi", { class: "chat-title" }, state.title)),
          last && h("time", { datetime: last.created }, short(last.created)),
        ),
        h(
          "div",
          { class: "chat-top", id: moreId },
          h("span", { class: "preview" }, words),
          ...counts,
        ),
      ),
    );
  }

  // Search.

  _searched() {
    clearTimeout(this._timer);
    this._drawList();
    const text = this._search.value.trim();
    this._found.hidden = text === "";
    if (Array.from(text).length < SHORTEST_SEARCH) {
      fill(
        this._found,
        h("p", { class: "hint" }, "Type two characters or more to search messages."),
      );
      return;
    }
    this._timer = setTimeout(() => void this._find(text, null), SEARCH_DELAY);
  }

  _endSearch() {
    this._search.value = "";
    this._searched();
  }

  /** @param {string} text @param {string | null} before */
  async _find(text, before) {
    try {
      const page = await this._client.api.get("/search", {
        text,
        before,
        limit: 20,
      });
      if (this._search.value.trim() !== text) return;
      const items = page.messages.map((/** @type {any} */ one) => this._resultOf(one, text));
      if (before === null) {
        fill(this._found, h("h2", { class: "found-title" }, "Messages"));
      }
      this._found.querySelector(".more-results")?.remove();
      this._found.append(...items);
      if (before === null && items.length === 0) {
        this._found.append(
          h("p", { class: "hint" }, `No message contains “${excerpt(text, 30)}”.`),
        );
      }
      if (page.next) {
        this._found.append(
          h(
            "button",
            {
              type: "button",
              class: "more-results",
              onclick: () => void this._find(text, page.next),
            },
            "More results",
          ),
        );
      }
    } catch (error) {
      if (this._search.value.trim() === text) {
        fill(this._found, h("p", { class: "reason", role: "alert" }, reasonOf(error)));
      }
    }
  }

  /** @param {import("./types.js").Message} message @param {string} text */
  _resultOf(message, text) {
    const chat = this._client.chat(message.chat_id);
    return h(
      "button",
      {
        type: "button",
        class: "result",
        onclick: () => {
          this._app.goTo(message.chat_id ?? null);
          void this._app.log.reveal(message.seq);
        },
      },
      h(
        "span",
        { class: "chat-top" },
        h("bdi", { class: "chat-title" }, message.author.name),
        h("time", { datetime: message.created }, short(message.created)),
      ),
      h("span", { class: "result-text", dir: "auto" }, marked(message.text, text)),
      h("span", { class: "hint" }, chat?.state.title ?? ""),
    );
  }
}

/** @param {View} chat @param {string} me */
function previewOf(chat, me) {
  const { last, state } = chat;
  if (!last) return "No messages yet";
  if (last.deleted) return "Message deleted";
  const words = excerpt(last.text, 80) || (last.files.length ? `📎 ${last.files[0].name}` : "");
  if (last.author.id === me) return `You: ${words}`;
  return state.kind === "p2p" ? words : `${last.author.name}: ${words}`;
}

/** The part of a text around what was searched, with that marked. @param {string} text @param {string} wanted */
function marked(text, wanted) {
  const at = text.toLowerCase().indexOf(wanted.toLowerCase());
  if (at < 0) return [excerpt(text, 120)];
  const from = Math.max(0, at - 40);
  const end = at + wanted.length;
  const after = Array.from(text.slice(end, end + 160))
    .slice(0, 80)
    .join("");
  return [
    (from > 0 ? "…" : "") + text.slice(from, at),
    h("mark", {}, text.slice(at, end)),
    end + after.length < text.length ? `${after}…` : after,
  ];
}
