/**
 * The messages of the open chat, of which only those near the screen exist.
 *
 * A chat is one column with a row for each seq from the first that may exist
 * up to its head. Rows that were never on screen have an estimated height, so
 * the scrollbar spans the whole chat, however long. `_layout` keeps one thing
 * still while heights are learnt: the bottom if the reader is there (`stuck`),
 * else the top row in sight (`anchor`).
 */

import { announce, h, icon } from "./dom.js";
import { Heights } from "./heights.js";
import {
  articleOf,
  daySeparator,
  emptyState,
  isGrouped,
  newSeparator,
  pendingArticle,
  setTabbable,
  skeleton,
} from "./message.js";
import { dayNumber } from "./when.js";

const ESTIMATE = 58;
const OVERSCAN = 700;
const AHEAD_ROWS = 30;
const LOAD_DELAY = 60;
const PASSES = 4;
const BOTTOM_SLACK = 24;
const LONG_PRESS = 450;

/**
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./client.js").View} View
 */

export class Log {
  /**
   * @param {import("./client.js").Client} client
   * @param {import("./actions.js").Actions} actions
   */
  constructor(client, actions) {
    this._client = client;
    this._actions = actions;
    this._rows = h("div", { class: "rows" });
    this._space = h("div", { class: "space" }, this._rows);
    this._tail = h("div", { class: "tail" });
    this._empty = h("div", { class: "empty-log", hidden: true });
    this._column = h("div", { class: "column" }, this._empty, this._space, this._tail);
    this.element = h(
      "div",
      {
        class: "log",
        role: "log",
        "aria-label": "Messages",
        "aria-live": "off",
        tabindex: "0",
      },
      this._column,
    );
    this._jump = h(
      "button",
      {
        type: "button",
        class: "jump",
        hidden: true,
        onclick: () => this.toBottom(),
      },
      icon("down"),
      h("span", {}),
    );
    this.root = h("div", { class: "log-frame" }, this.element, this._jump);
    /** @type {Map<number, { element: HTMLElement, key: string }>} */
    this._shown = new Map();
    /** @type {View | null} */
    this.chat = null;
    this._heights = new Heights(ESTIMATE);
    this._dropped = 0;
    this._stuck = true;
    this._anchor = { row: 0, within: 0 };
    this._opening = false;
    /** The read position that the line "new" stands behind. @type {number | null} */
    this._newAfter = null;
    this._tailKey = "";
    /** @type {number | null} */
    this._flash = null;
    this._isAsked = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._loader = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._press = undefined;
    this._sizes = new ResizeObserver(() => this.refresh());
    this._onPresence = () => this.refresh();
    /** Where our own scrolling went, to tell it from the reader's. @type {number | undefined} */
    this._target = undefined;
    /** @type {Element | null} */
    this._tabbable = null;
    this._listen();
  }

  _listen() {
    const log = this.element;
    log.addEventListener("scroll", () => this._scrolled(), { passive: true });
    this._sizes.observe(log);
    this._sizes.observe(this._tail);
    for (const name of ["pointerover", "focusin"]) {
      log.addEventListener(name, (event) =>
        this._reach(/** @type {any} */ (event).pointerType === "touch" ? null : event.target),
      );
    }
    log.addEventListener("focusin", (event) => this._letTabInto(event.target));
    log.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") this._actions.hide(log);
    });
    log.addEventListener("focusout", () =>
      setTimeout(
        () =>
          log.contains(document.activeElement) || log.matches(":hover") || this._actions.hide(log),
      ),
    );
    log.addEventListener("pointerdown", (event) => {
      clearTimeout(this._press);
      if (event.pointerType === "touch") {
        this._press = setTimeout(() => this._reach(event.target), LONG_PRESS);
      }
    });
    for (const name of ["pointerup", "pointercancel", "pointermove"]) {
      log.addEventListener(
        name,
        (event) => {
          if (
            name !== "pointermove" ||
            Math.abs(/** @type {PointerEvent} */ (event).movementY) > 6
          ) {
            clearTimeout(this._press);
          }
        },
        { passive: true },
      );
    }
    log.addEventListener("contextmenu", (event) => {
      if (/** @type {PointerEvent} */ (event).pointerType === "touch") {
        event.preventDefault();
      }
    });
    log.addEventListener("keydown", (event) => this._key(event));
    document.addEventListener("visibilitychange", this._onPresence);
    addEventListener("focus", this._onPresence);
  }

  close() {
    this._sizes.disconnect();
    clearTimeout(this._loader);
    document.removeEventListener("visibilitychange", this._onPresence);
    removeEventListener("focus", this._onPresence);
  }

  /** Show a chat: at its first unread message, or at its newest. @param {View | null} chat */
  open(chat) {
    this.chat = chat;
    this._heights = new Heights(ESTIMATE);
    this._dropped = 0;
    this._stuck = true;
    this._anchor = { row: 0, within: 0 };
    this._clear();
    const unread = chat && chat.state.unread > 0 && chat.state.read < chat.state.head;
    this._newAfter = unread ? chat.state.read : null;
    this._opening = Boolean(unread);
    this._tailKey = "";
    if (unread && chat.messages.isUnknown(chat.state.read + 1)) {
      void this._client.load(chat.state.id, { around: chat.state.read + 1 });
    }
    this._layout();
  }

  _clear() {
    this._actions.hide(this.element);
    this._rows.replaceChildren();
    this._shown.clear();
  }

  /** Draw again with the next frame. */
  refresh() {
    if (this._isAsked) return;
    this._isAsked = true;
    requestAnimationFrame(() => {
      this._isAsked = false;
      this._layout();
    });
  }

  toBottom() {
    this._stuck = true;
    this._opening = false;
    this._layout();
    this.element.focus({ preventScroll: true });
  }

  /** A new message came into the open chat. @param {Message} message */
  arrived(message) {
    const isOwn = message.author.id === this._client.me.id;
    if (isOwn) {
      this._newAfter = null;
      this._stuck = true;
    } else {
      const isHere = isPresent() && this._stuck;
      if (!isHere && this._newAfter === null) this._newAfter = message.seq - 1;
      announce(`${message.author.name}: ${message.text}`);
    }
  }

  /** Bring a message into sight. @param {number} seq */
  async reveal(seq) {
    const chat = this.chat;
    if (!chat) return;
    this._opening = false;
    if (chat.messages.isUnknown(seq)) {
      await chat.loading;
      await this._client.load(chat.state.id, { around: seq });
    }
    if (this.chat !== chat) return;
    this._stuck = false;
    this._anchor = { row: seq - 1, within: -this.element.clientHeight / 3 };
    this._flash = seq;
    this._layout();
    const shown = this._shown.get(seq)?.element.querySelector("article");
    shown?.focus({ preventScroll: true });
  }

  /** The newest message of the caller's that may be edited, if it is loaded. */
  lastOwn() {
    const messages = this.chat?.messages;
    if (!messages) return null;
    for (let seq = messages.head; seq >= messages.first && !messages.isUnknown(seq); seq -= 1) {
      const message = messages.bySeq.get(seq);
      if (message?.author.id === this._client.me.id && !message.deleted) {
        return message;
      }
    }
    return null;
  }

  // Scrolling.

  _scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    const isOurs = this._target !== undefined && Math.abs(scrollTop - this._target) < 1;
    this._target = undefined;
    if (isOurs) return;
    this._opening = false;
    this._stuck = scrollHeight - clientHeight - scrollTop < BOTTOM_SLACK;
    const row = this._heights.at(scrollTop);
    this._anchor = { row, within: scrollTop - this._heights.before(row) };
    this.refresh();
  }

  /** @param {number} top */
  _scrollTo(top) {
    if (Math.abs(this.element.scrollTop - top) < 1) return;
    this.element.scrollTop = top;
    this._target = this.element.scrollTop;
  }

  _layout() {
    const chat = this.chat;
    if (!chat || !this.element.isConnected) return;
    const { messages } = chat;
    this._heights.grow(messages.head);
    if (this._dropped < messages.first - 1) {
      this._dropped = messages.first - 1;
      this._heights.dropBefore(this._dropped);
    }
    this._layoutTail(chat);
    this._openAtNew(chat);
    const height = this.element.clientHeight;
    let range = { from: 0, to: -1, top: 0 };
    for (let pass = 0; pass < PASSES; pass += 1) {
      range = this._range(height);
      this._draw(chat, range.from, range.to);
      if (!this._measure()) break;
    }
    this._space.style.height = `${this._heights.total}px`;
    this._rows.style.transform = `translateY(${this._heights.before(range.from)}px)`;
    const end = this.element.scrollHeight - height;
    const top = this._heights.before(this._anchor.row) + this._anchor.within;
    if (!this._stuck && top >= end - 1 && messages.head > 0) {
      this._stuck = true;
    }
    this._scrollTo(this._stuck ? end : Math.max(0, top));
    this._after(chat, range);
  }

  /** The rows that have to exist. @param {number} height */
  _range(height) {
    const total = this._heights.total;
    const above = this._column.clientHeight - this._space.clientHeight - this._tail.clientHeight;
    const tail = this._tail.clientHeight + Math.max(0, above);
    const top = this._stuck
      ? Math.max(0, total + tail - height)
      : this._heights.before(this._anchor.row) + this._anchor.within;
    const from = Math.max(this._dropped, this._heights.at(Math.max(0, top - OVERSCAN)));
    const to = this._heights.length ? this._heights.at(Math.max(0, top + height + OVERSCAN)) : -1;
    return { from, to, top };
  }

  /** Make the rows [from, to] exist, and no others. @param {View} chat @param {number} from @param {number} to */
  _draw(chat, from, to) {
    for (const [seq, shown] of this._shown) {
      if (seq - 1 >= from && seq - 1 <= to) continue;
      if (shown.element.contains(document.activeElement)) {
        this.element.focus({ preventScroll: true });
      }
      this._sizes.unobserve(shown.element);
      shown.element.remove();
      this._shown.delete(seq);
    }
    /** @type {Element | null} */
    let next = this._rows.firstElementChild;
    for (let seq = from + 1; seq <= to + 1; seq += 1) {
      const { key, build } = this._rowOf(chat, seq);
      const shown = this._shown.get(seq);
      if (shown && shown.key === key) {
        next = shown.element.nextElementSibling;
        continue;
      }
      const element = build();
      setTabbable(element, -1);
      if (shown) {
        this._replace(shown.element, element);
        next = element.nextElementSibling;
      } else {
        this._rows.insertBefore(element, next);
      }
      this._sizes.observe(element);
      this._shown.set(seq, { element, key });
    }
  }

  /** Put a row where its older self was, and keep the focus. @param {HTMLElement} old @param {HTMLElement} element */
  _replace(old, element) {
    const hadFocus = old.contains(document.activeElement);
    const hadActions = this._actions.isOn(old);
    this._sizes.unobserve(old);
    old.replaceWith(element);
    const article = element.querySelector("article");
    if (hadFocus) article?.focus({ preventScroll: true });
    if (hadActions && article) this._reach(article);
  }

  /** Learn the heights of what is drawn; whether any was another. */
  _measure() {
    let isOther = false;
    for (const [seq, { element }] of this._shown) {
      const height = element.getBoundingClientRect().height;
      if (Math.abs(height - this._heights.of(seq - 1)) > 0.5) {
        this._heights.set(seq - 1, height);
        isOther = true;
      }
    }
    return isOther;
  }

  /** Once the first unread message is here, begin with it. @param {View} chat */
  _openAtNew(chat) {
    if (!this._opening || this._newAfter === null) return;
    if (chat.messages.isUnknown(this._newAfter + 1)) return;
    this._opening = false;
    this._stuck = false;
    this._anchor = { row: this._newAfter, within: -56 };
  }

  /** @param {View} chat @param {{ from: number, to: number }} range */
  _after(chat, range) {
    const { messages } = chat;
    messages.trim(range.from + 1, range.to + 1);
    const unseen = Math.max(0, messages.head - this._lastInSight());
    this._jump.hidden = this._stuck || unseen === 0;
    const isNew = chat.state.unread > 0 ? ` · ${chat.state.unread} new` : "";
    /** @type {HTMLElement} */ (this._jump.lastChild).textContent = `Jump to newest${isNew}`;
    const isEmpty = messages.first > messages.head && !this._tail.childElementCount;
    this._empty.hidden = !isEmpty;
    if (isEmpty && !this._empty.childElementCount) {
      this._empty.append(...emptyState());
    }
    if (this._wanted(range)) {
      this._loader ??= setTimeout(() => {
        this._loader = undefined;
        this._load();
      }, LOAD_DELAY);
    }
    if (isPresent() && !this._opening && this._client.state === "open") {
      const seq = this._lastInSight();
      if (seq > 0 && !messages.isUnknown(seq)) {
        this._client.markRead(chat.state.id, seq);
      }
    }
    if (this._flash !== null) {
      const shown = this._shown.get(this._flash);
      if (shown) {
        shown.element.classList.add("flash");
        this._flash = null;
      }
    }
  }

  /** The seq of the lowest row that is wholly in sight. */
  _lastInSight() {
    const head = this.chat?.messages.head ?? 0;
    const { scrollTop, clientHeight } = this.element;
    const bottom = scrollTop + clientHeight - this._space.offsetTop;
    return this._stuck || bottom >= this._heights.total ? head : this._heights.at(bottom);
  }

  /** Where a page is missing near the screen. @param {{ from: number, to: number }} range */
  _wanted(range) {
    const messages = /** @type {View} */ (this.chat).messages;
    const from = Math.max(messages.first, range.from + 1 - AHEAD_ROWS);
    const to = Math.min(messages.head, range.to + 1 + AHEAD_ROWS);
    const last = messages.loaded.lastMissing(from, to);
    if (last === null) return null;
    if (last === messages.head || !messages.isUnknown(last + 1)) {
      return { before: last + 1 };
    }
    const first = /** @type {number} */ (messages.loaded.firstMissing(from, to));
    if (first > messages.first && !messages.isUnknown(first - 1)) {
      return { after: first - 1 };
    }
    return { around: Math.floor((from + to) / 2) };
  }

  _load() {
    const chat = this.chat;
    if (!chat || this._client.state === "lost") return;
    const where = this._wanted(this._range(this.element.clientHeight));
    if (!where || chat.loading) return;
    void this._client.load(chat.state.id, where).then(() => {
      const seq = where.around;
      if (seq !== undefined && !chat.failure && seq >= chat.messages.first) {
        chat.messages.loaded.add(seq, seq);
      }
    });
  }

  // Rows.

  /** @param {View} chat @param {number} seq @returns {{ key: string, build: () => HTMLElement }} */
  _rowOf(chat, seq) {
    const { messages } = chat;
    const message = messages.bySeq.get(seq);
    if (!message) {
      const isUnknown = messages.isUnknown(seq) && seq >= messages.first;
      return {
        key: isUnknown ? "unknown" : "none",
        build: () => h("div", { class: "row" }, isUnknown && skeleton(seq)),
      };
    }
    const before = this._before(chat, seq);
    const isFirst = !before && !messages.isUnknown(Math.max(seq - 1, 1));
    const day = before
      ? dayNumber(before.created) !== dayNumber(message.created)
      : isFirst || seq === messages.first;
    const isNew = this._newAfter !== null && seq === this._firstNew(chat);
    const grouped = !day && !isNew && isGrouped(before, message);
    const target =
      message.is_comment_on === null ? undefined : messages.byId(message.is_comment_on);
    const seen = this._seenBy(chat, message);
    const key = [
      message.revision ?? 0,
      message.comments,
      message.deleted ? 1 : 0,
      day,
      isNew,
      grouped,
      target?.revision ?? target,
      seen,
      this._client.me.name,
      message.author.name,
    ].join("|");
    return {
      key,
      build: () =>
        h(
          "div",
          { class: grouped ? "row grouped" : "row" },
          day && daySeparator(message.created),
          isNew && newSeparator(),
          articleOf(this._client, this._actions, {
            chat,
            message,
            grouped,
            target,
            seen,
          }),
        ),
    };
  }

  /** The nearest earlier message, if it is loaded. @param {View} chat @param {number} seq */
  _before(chat, seq) {
    for (let earlier = seq - 1; earlier >= Math.max(1, seq - 20); earlier -= 1) {
      const message = chat.messages.bySeq.get(earlier);
      if (message || chat.messages.isUnknown(earlier)) return message;
    }
    return undefined;
  }

  /** @param {View} chat */
  _firstNew(chat) {
    const { messages } = chat;
    let seq = (this._newAfter ?? 0) + 1;
    while (seq < messages.head && !messages.isUnknown(seq)) {
      const message = messages.bySeq.get(seq);
      if (message && message.author.id !== this._client.me.id) break;
      seq += 1;
    }
    return seq;
  }

  /** Who has read the caller's newest message, in words. @param {View} chat @param {Message} message */
  _seenBy(chat, message) {
    if (chat.state.kind === "common" || message.author.id !== this._client.me.id) {
      return "";
    }
    if (message.seq !== chat.messages.head) return "";
    const others = (chat.members ?? []).filter(
      (one) => one.id !== this._client.me.id && (one.read ?? 0) >= message.seq,
    );
    if (others.length === 0) return "";
    return chat.state.kind === "p2p" ? "Seen" : `Seen by ${others.length}`;
  }

  /** What is on its way. @param {View} chat */
  _layoutTail(chat) {
    const items = this._client.queue.of(chat.state.id);
    const key = `${this._client.state}${items.map((one) => one.key + one.state).join()}`;
    if (key === this._tailKey) return;
    const isMore = items.length > this._tail.childElementCount;
    this._tailKey = key;
    this._tail.replaceChildren(...items.map((one) => pendingArticle(this._client, one)));
    if (isMore) this._stuck = true;
  }

  // Reaching a message: pointer, focus, long press.

  /** @param {EventTarget | null} target */
  _reach(target) {
    const article = target instanceof Element ? target.closest("article") : null;
    const seq = Number(article?.dataset.seq);
    const message = this.chat?.messages.bySeq.get(seq);
    if (article && message && this.chat) {
      this._actions.show(article, this.chat, message);
    }
  }

  /**
   * Tab stops at the controls of the message that has the focus only; arrows
   * lead from message to message. @param {EventTarget | null} target
   */
  _letTabInto(target) {
    const article = target instanceof Element ? target.closest("article") : null;
    if (!article || article === this._tabbable) return;
    setTabbable(this._tabbable, -1);
    setTabbable(article, 0);
    this._tabbable = article;
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const articles = [...this._rows.querySelectorAll("article")];
    const focused = document.activeElement?.closest("article");
    const index = focused ? articles.indexOf(focused) : articles.length;
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      if (event.key === "End") this.toBottom();
      else void this.reveal(this.chat?.messages.first ?? 1);
    } else if (step && !(event.target instanceof HTMLInputElement)) {
      const next = focused
        ? articles[index + step]
        : articles.findLast((one) => this._isInSight(one));
      if (!next) return;
      event.preventDefault();
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
    }
  }

  /** @param {Element} element */
  _isInSight(element) {
    return element.getBoundingClientRect().top < this.element.getBoundingClientRect().bottom - 20;
  }
}

export function isPresent() {
  return !document.hidden && document.hasFocus();
}
