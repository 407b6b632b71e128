/** The whole screen of one person: list, chat, panel, and what joins them. */

import { Actions } from "./actions.js";
import { Client } from "./client.js";
import { Composer } from "./composer.js";
import { note, showPopover } from "./dialogs.js";
import { fill, framed, h, iconButton } from "./dom.js";
import { forget, renamed } from "./identities.js";
import { isPresent, Log } from "./log.js";
import { Panel } from "./panel.js";
import { mayNotify, Settings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { excerpt } from "./text.js";
import { presenceOf } from "./actions.js";

const LOST_DELAY = 800;

/** @typedef {import("./client.js").View} View */

export class App {
  /**
   * @param {import("./identities.js").Identity} identity
   * @param {{ signedOut: (who: import("./identities.js").Identity | null) => void, restart: () => void, addPerson: () => void }} out
   */
  constructor(identity, out) {
    this.client = new Client(identity);
    this._out = out;
    this.restart = out.restart;
    this.addPerson = out.addPerson;
    this.actions = new Actions(this);
    this.log = new Log(this.client, this.actions);
    this.composer = new Composer(this);
    this.panel = new Panel(this);
    this.settings = new Settings(this);
    this.sidebar = new Sidebar(this);
    /** @type {View | null} */
    this.chat = null;
    this._wasOpen = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._lostTimer = undefined;
    this._onHash = () => this._route();
    this._lost = h("div", { class: "lost", role: "status", hidden: true });
    this._title = h("h2", { class: "chat-name" });
    this._about = h("p", { class: "chat-about" });
    this._more = iconButton("more", "Chat menu", (event) =>
      this._menu(/** @type {Element} */ (event.currentTarget)),
    );
    this._head = h(
      "header",
      { class: "chat-head" },
      iconButton("back", "All chats", () => this.goTo(null), {
        class: "icon-button back",
      }),
      h("div", { class: "grow" }, this._title, this._about),
      iconButton("people", "Members", () => this.panel.toggleMembers()),
      this._more,
    );
    this._main = h(
      "main",
      { class: "chat" },
      this._lost,
      this._head,
      this.log.root,
      this.composer.element,
    );
    this.element = h(
      "div",
      { class: "app", "data-view": "chat" },
      this.sidebar.element,
      this._main,
      this.panel.element,
    );
    this._listen();
  }

  _listen() {
    const client = this.client;
    const heading = framed(() => this._drawHead());
    for (const name of ["chats", "members", "typing"]) {
      client.on(name, heading);
    }
    client.on("state", (state) => this._showState(state));
    client.on("chats", () => this._route());
    client.on("chat", (id) => id === this.chat?.state.id && this.log.refresh());
    client.on("message", (arrived) => this._arrived(arrived));
    client.on("me", () => {
      renamed(client.me.id, client.me.name);
      this.log.refresh();
    });
    client.on("gone", () => {
      forget(client.me.id);
      this._out.signedOut(null);
      note(
        "Your token is no longer valid on this server. Choose a name, or sign in with another token.",
        undefined,
        15_000,
      );
    });
    client.on("removed", (id) => id === this.chat?.state.id && this._leftChat());
    client.on("restored", () => {
      this.chat = null;
      this.log.open(null);
    });
    client.on("requests", (event) =>
      note(
        `${event.user?.name ?? "Somebody"} asks to join ${client.chat(event.chat_id)?.state.title ?? "a group"}.`,
      ),
    );
    client.on("decided", (event) =>
      note(event.approved ? "You were let into the group." : "Your request to join was denied."),
    );
    addEventListener("hashchange", this._onHash);
    this._dropping();
  }

  /** Files dropped anywhere on the chat are attached. */
  _dropping() {
    const main = this._main;
    const has = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
    main.addEventListener("dragover", (event) => {
      if (!has(event)) return;
      event.preventDefault();
      main.classList.add("dropping");
    });
    main.addEventListener("dragleave", (event) => {
      if (!main.contains(/** @type {Node | null} */ (event.relatedTarget))) {
        main.classList.remove("dropping");
      }
    });
    main.addEventListener("drop", (event) => {
      main.classList.remove("dropping");
      if (!has(event)) return;
      event.preventDefault();
      this.composer.attach([...(event.dataTransfer?.files ?? [])]);
    });
  }

  close() {
    removeEventListener("hashchange", this._onHash);
    clearTimeout(this._lostTimer);
    this.client.close();
    this.log.close();
    this.composer.close();
    this.element.remove();
    document.title = "zchat";
  }

  signOut() {
    const { identity } = this.client;
    forget(identity.user_id);
    this._out.signedOut(identity);
  }

  // Which chat is on screen.

  /** Open a chat, or with null the list. @param {string | null} id */
  goTo(id) {
    const hash = id ? `#${id}` : "#chats";
    if (location.hash === hash) this._route();
    else location.hash = hash;
    this._route();
  }

  _route() {
    const wanted = location.hash.slice(1);
    const client = this.client;
    this.element.dataset.view = wanted === "chats" ? "list" : "chat";
    const found =
      client.chat(wanted) ??
      (this.chat && client.chats.get(this.chat.state.id)) ??
      client.chat(client.commonChat) ??
      client.inOrder()[0];
    if (found && found !== this.chat) this._open(found);
  }

  /** @param {View} chat */
  _open(chat) {
    const isSwitch = this.chat !== null;
    this.chat = chat;
    this.client.openChat = chat.state.id;
    this.panel.hide();
    this.log.open(chat);
    this.composer.open(chat);
    this.sidebar.draw();
    this._drawHead();
    this.client.loadMembers(chat.state.id).catch(() => {});
    this.client.loadFacts(chat.state.id).catch(() => {});
    if (!isSwitch || matchMedia("(hover: hover)").matches) {
      this.composer.focus();
    }
  }

  _leftChat() {
    note(`You are no longer in ${this.chat?.state.title}.`);
    this.chat = null;
    this.client.openChat = null;
    this.log.open(null);
    this.composer.open(null);
    this.panel.hide();
    if (location.hash.length > 30) location.hash = "#chats";
    this._route();
    this._drawHead();
  }

  _drawHead() {
    const chat = this.chat;
    const unread = [...this.client.chats.values()].reduce((sum, one) => sum + one.state.unread, 0);
    document.title = `${unread ? `(${unread > 999 ? "999+" : unread}) ` : ""}${chat ? `${chat.state.title} · ` : ""}zchat`;
    fill(this._title, h("bdi", {}, chat?.state.title ?? ""));
    this._more.hidden = !chat;
    this._about.textContent = chat ? this._aboutOf(chat) : "";
  }

  /** @param {View} chat */
  _aboutOf(chat) {
    const members = chat.members ?? [];
    if (chat.state.kind === "p2p") {
      return presenceOf(members.find((one) => one.id !== this.client.me.id)) || "Private chat";
    }
    const size = chat.size || members.length;
    const online = members.filter((one) => one.online).length;
    const kind = chat.state.kind === "common" ? "Everyone" : "Group";
    return [
      kind,
      size ? `${size} ${size === 1 ? "member" : "members"}` : "",
      online ? `${online} online` : "",
    ]
      .filter(Boolean)
      .join(" · ");
  }

  /** @param {Element} beside */
  _menu(beside) {
    const chat = this.chat;
    if (!chat) return;
    const item = (/** @type {string} */ text, /** @type {() => void} */ act) =>
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            popover.hidePopover();
            act();
          },
        },
        text,
      );
    const forOwner = [
      item("Add people", () => this.panel.addPeople(chat)),
      item("Invite link", () => this.panel.links(chat)),
      item("Rename", () => this.actions.rename(chat)),
    ];
    // Who owns a group is told a moment after it opens.
    const offer = () => {
      for (const button of forOwner) button.hidden = !this.client.isOwner(chat);
    };
    offer();
    const popover = showPopover(
      beside,
      "Chat menu",
      [
        item("Members", () => this.panel.toggleMembers()),
        ...forOwner,
        item("Leave", () => this.actions.leave(chat)),
      ],
      "menu",
    );
    const stop = this.client.on("members", offer);
    popover.addEventListener("toggle", () => popover.isConnected || stop());
  }

  // What arrives.

  /** @param {{ chat: View, message: import("./types.js").Message }} arrived */
  _arrived({ chat, message }) {
    const isOpen = chat === this.chat;
    if (isOpen) this.log.arrived(message);
    const isOwn = message.author.id === this.client.me.id;
    const isForMe = chat.state.kind !== "common" || message.mentions?.includes(this.client.me.id);
    if (isOwn || !isForMe || (isOpen && isPresent()) || !mayNotify()) return;
    const words = excerpt(message.text, 140) || message.files[0]?.name || "";
    const notification = new Notification(
      chat.state.kind === "p2p"
        ? message.author.name
        : `${message.author.name} · ${chat.state.title}`,
      { body: words, tag: chat.state.id },
    );
    notification.onclick = () => {
      window.focus();
      this.goTo(chat.state.id);
      notification.close();
    };
  }

  /** @param {"connecting" | "open" | "lost"} state */
  _showState(state) {
    clearTimeout(this._lostTimer);
    if (state === "open") {
      if (this._wasOpen && !this._lost.hidden) {
        note("Connected again.", undefined, 2500);
      }
      this._wasOpen = true;
      this._lost.hidden = true;
    } else {
      this._lostTimer = setTimeout(() => {
        this._lost.hidden = false;
        fill(
          this._lost,
          h("span", { class: "spinner", "aria-hidden": "true" }),
          h(
            "span",
            {},
            "Connection lost. Trying again; what you write is sent as soon as it is back.",
          ),
          h("button", { type: "button", onclick: () => this.client.stream.retry() }, "Try now"),
        );
      }, LOST_DELAY);
    }
    this.log.refresh();
  }
}
