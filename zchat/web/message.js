/** Makes the elements of one message: text, files, reactions, separators. */

import { reasonOf } from "./api.js";
import { avatar, h, hueOf, icon } from "./dom.js";
import { excerpt, folded, isOnlyEmoji, pieces } from "./text.js";
import { clock, dayName, full } from "./when.js";

const SHOWN_IMAGES = /^image\/(?:png|jpeg|gif|webp|avif)$/u;
const KEPT_IMAGES = 60;
const GROUP_MILLISECONDS = 5 * 60_000;

/**
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./client.js").Client} Client
 * @typedef {import("./client.js").View} View
 */

/** @param {string} moment */
export function daySeparator(moment) {
  return h("div", { class: "separator" }, h("time", { datetime: moment }, dayName(moment)));
}

export function newSeparator() {
  return h("div", { class: "separator new" }, h("span", {}, "New"));
}

/** @param {number} seq */
export function skeleton(seq) {
  return h(
    "div",
    { class: `skeleton shape-${seq % 4}`, "aria-hidden": "true" },
    h("span", {}),
    h("span", {}),
  );
}

/**
 * One message as an article named by its author and time.
 * @param {Client} client @param {import("./actions.js").Actions} actions
 * @param {{ chat: View, message: Message, grouped: boolean, target: Message | undefined, seen: string }} row
 */
export function articleOf(client, actions, { chat, message, grouped, target, seen }) {
  const isOwn = message.author.id === client.me.id;
  const isForMe = message.mentions?.includes(client.me.id) ?? false;
  const kind = ["message", isOwn && "own", isForMe && "for-me", message.deleted && "deleted"];
  return h(
    "article",
    {
      class: kind.filter(Boolean).join(" "),
      tabindex: "-1",
      "data-seq": message.seq,
      "data-id": message.id,
      "aria-label": `${isOwn ? `${message.author.name} (you)` : message.author.name}, ${clock(message.created)}`,
    },
    !isOwn && !grouped && avatar(message.author.id, message.author.name),
    h(
      "div",
      { class: "body" },
      !grouped && headOf(actions, chat, message, isOwn),
      h(
        "div",
        { class: "bubble" },
        message.is_comment_on !== null && quoteOf(actions, chat, message, target),
        message.deleted
          ? h("p", { class: "tombstone" }, "This message was deleted.")
          : textOf(client, message),
        message.files.map((file) => fileOf(client, file)),
      ),
      footOf(client, actions, chat, message, seen),
    ),
  );
}

/** @param {import("./actions.js").Actions} actions @param {View} chat @param {Message} message @param {boolean} isOwn */
function headOf(actions, chat, message, isOwn) {
  const name = h("bdi", {}, message.author.name);
  const author = isOwn
    ? h("span", { class: "author" }, name)
    : h(
        "button",
        {
          type: "button",
          class: "author",
          onclick: () => actions.person(message.author, chat),
        },
        name,
      );
  author.style.setProperty("--hue", String(hueOf(message.author.id)));
  return h(
    "div",
    { class: "head" },
    author,
    h("time", { datetime: message.created, title: full(message.created) }, clock(message.created)),
  );
}

/** @param {Client} client @param {Message} message */
function textOf(client, message) {
  if (message.text === "") return null;
  const isBig = isOnlyEmoji(message.text);
  const blocks = nodesOf(message.text, {
    me: client.me.name,
    hasMentions: (message.mentions?.length ?? 0) > 0,
  });
  if (message.edited) {
    const mark = h("span", { class: "edited", title: full(message.edited) }, "edited");
    const last = blocks.at(-1);
    if (last?.localName === "p") last.append(mark);
    else blocks.push(mark);
  }
  return h("div", { class: isBig ? "text big" : "text" }, blocks);
}

/**
 * The nodes of a text. Runs of text are paragraphs whose direction follows
 * their own first letter, so one line in another script harms no other.
 * @param {string} text @param {{ me: string, hasMentions: boolean }} reader
 */
export function nodesOf(text, reader) {
  /** @type {HTMLElement[]} */
  const blocks = [];
  /** @type {HTMLElement | null} */
  let paragraph = null;
  for (const piece of pieces(text)) {
    if (piece.kind === "block") {
      blocks.push(h("pre", { dir: "auto", tabindex: "0" }, h("code", {}, piece.text)));
      paragraph = null;
      continue;
    }
    if (!paragraph) {
      paragraph = h("p", { dir: "auto" });
      blocks.push(paragraph);
    }
    paragraph.append(inlineNode(piece, reader));
  }
  return blocks;
}

/** @param {import("./text.js").Piece} piece @param {{ me: string, hasMentions: boolean }} reader */
function inlineNode(piece, reader) {
  if (piece.kind === "link") {
    return h(
      "a",
      {
        href: piece.text,
        target: "_blank",
        rel: "noopener noreferrer nofollow",
        dir: "ltr",
      },
      piece.text,
    );
  }
  if (piece.kind === "code") return h("code", {}, piece.text);
  if (piece.kind === "mention" && reader.hasMentions) {
    const name = folded(piece.text.slice(1));
    const isMe = name === folded(reader.me) || name === "all";
    return h("bdi", { class: isMe ? "mention me" : "mention" }, piece.text);
  }
  return document.createTextNode(piece.text);
}

/** What a comment is on. @param {import("./actions.js").Actions} actions @param {View} chat @param {Message} message @param {Message | undefined} target */
function quoteOf(actions, chat, message, target) {
  const id = /** @type {string} */ (message.is_comment_on);
  const words = target
    ? target.deleted
      ? "deleted message"
      : excerpt(target.text || target.files[0]?.name || "", 90)
    : "an earlier message";
  return h(
    "button",
    {
      type: "button",
      class: "quote",
      title: "Show the message this comments on",
      onclick: () => void actions.showMessage(chat, id, message),
    },
    icon("reply"),
    target && h("bdi", { class: "quote-author" }, target.author.name),
    h("span", { class: "quote-text", dir: "auto" }, words),
  );
}

/** @param {Client} client @param {import("./actions.js").Actions} actions @param {View} chat @param {Message} message @param {string} seen */
function footOf(client, actions, chat, message, seen) {
  const reactions = message.reactions ?? [];
  if (reactions.length === 0 && message.comments === 0 && !seen) return null;
  return h(
    "div",
    { class: "foot" },
    reactions.map((one) => reactionOf(client, actions, message, one)),
    message.comments > 0 &&
      h(
        "button",
        {
          type: "button",
          class: "chip",
          onclick: () => void actions.comments(chat, message),
        },
        icon("reply"),
        message.comments === 1 ? "1 comment" : `${message.comments} comments`,
      ),
    seen && h("span", { class: "seen" }, icon("check"), seen),
  );
}

/** @param {Client} client @param {import("./actions.js").Actions} actions @param {Message} message @param {import("./types.js").Reaction} one */
function reactionOf(client, actions, message, one) {
  const isOurs = one.users.includes(client.me.id);
  const names = one.users
    .map((id) => (id === client.me.id ? "you" : client.nameOf(id)))
    .filter(Boolean);
  const label = `${one.emoji} ${one.count}${names.length ? `: ${names.join(", ")}` : ""}`;
  return h(
    "button",
    {
      type: "button",
      class: "chip reaction",
      "aria-pressed": String(isOurs),
      "aria-label": label,
      title: label,
      onclick: () => void actions.react(message, one.emoji, !isOurs),
    },
    h("span", { class: "emoji" }, one.emoji),
    String(one.count),
  );
}

/** A message on its way, or one that was refused. @param {Client} client @param {import("./send_queue.js").Pending} item */
export function pendingArticle(client, item) {
  const words =
    item.state === "failed"
      ? "not sent"
      : client.state === "open"
        ? "sending"
        : "waiting for the connection";
  return h(
    "div",
    { class: "row" },
    h(
      "article",
      {
        class: `message own pending ${item.state}`,
        "aria-label": `${client.me.name} (you), ${words}`,
      },
      h(
        "div",
        { class: "body" },
        h(
          "div",
          { class: "bubble" },
          item.text &&
            h(
              "div",
              { class: "text" },
              nodesOf(item.text, { me: client.me.name, hasMentions: false }),
            ),
          item.files.map((file) =>
            h("p", { class: "file-name" }, icon("file"), h("bdi", {}, file.name)),
          ),
        ),
        h(
          "div",
          { class: "foot" },
          item.state === "failed"
            ? [
                h("span", { class: "reason", role: "alert" }, item.reason),
                h(
                  "button",
                  {
                    type: "button",
                    class: "chip",
                    onclick: () => client.queue.retry(item),
                  },
                  "Try again",
                ),
                h(
                  "button",
                  {
                    type: "button",
                    class: "chip",
                    onclick: () => client.queue.discard(item),
                  },
                  "Discard",
                ),
              ]
            : h(
                "span",
                { class: "sending" },
                client.state === "open" ? "Sending…" : "Waiting for the connection",
              ),
        ),
      ),
    ),
  );
}

/** @param {number} size */
export function sizeText(size) {
  if (size < 1000) return `${size} B`;
  return size < 1_000_000 ? `${Math.round(size / 1000)} kB` : `${(size / 1_000_000).toFixed(1)} MB`;
}

/** @type {Map<string, Promise<string>>} Addresses of files that are in memory. */
const images = new Map();

/** @param {Client} client @param {string} fileId */
function imageAddress(client, fileId) {
  let found = images.get(fileId);
  if (!found) {
    found = client.api.blob(fileId).then((blob) => URL.createObjectURL(blob));
    found.catch(() => images.delete(fileId));
    images.set(fileId, found);
    const oldest = images.keys().next().value;
    if (images.size > KEPT_IMAGES && oldest !== undefined) {
      void images.get(oldest)?.then(URL.revokeObjectURL, () => {});
      images.delete(oldest);
    }
  }
  return found;
}

/** @param {Client} client @param {import("./types.js").FileInfo} file */
function fileOf(client, file) {
  const failed = h("span", { class: "reason", role: "status" });
  const save = async () => {
    try {
      const address = URL.createObjectURL(await client.api.blob(file.file_id));
      h("a", { href: address, download: file.name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      failed.textContent = reasonOf(error);
    }
  };
  const label = h(
    "button",
    {
      type: "button",
      class: "file",
      onclick: save,
      title: `Download ${file.name}`,
    },
    icon("file"),
    h("bdi", { class: "file-title" }, file.name),
    h("span", { class: "file-size" }, sizeText(file.size)),
  );
  if (!SHOWN_IMAGES.test(file.type)) {
    return h("div", { class: "attachment" }, label, failed);
  }
  const image = h("img", { alt: file.name, decoding: "async" });
  imageAddress(client, file.file_id).then(
    (address) => {
      image.src = address;
    },
    (error) => {
      failed.textContent = reasonOf(error);
    },
  );
  return h(
    "figure",
    { class: "attachment image" },
    h(
      "button",
      {
        type: "button",
        class: "image-button",
        onclick: save,
        "aria-label": `Download the image ${file.name}`,
      },
      image,
    ),
    h("figcaption", {}, h("bdi", {}, file.name)),
    failed,
  );
}

/** Let Tab stop at the controls of a message, or not. @param {Element | null} article @param {number} index */
export function setTabbable(article, index) {
  const controls = article?.querySelectorAll("a, button, pre") ?? [];
  for (const control of controls) /** @type {HTMLElement} */ (control).tabIndex = index;
}

/** Whether a message needs no head of its own. @param {Message | undefined} before @param {Message} message */
export function isGrouped(before, message) {
  if (!before || before.author.id !== message.author.id || message.is_comment_on !== null) {
    return false;
  }
  return (
    new Date(message.created).getTime() - new Date(before.created).getTime() < GROUP_MILLISECONDS
  );
}

export function emptyState() {
  return [
    h("p", { class: "empty-title" }, "Nothing here yet"),
    h("p", {}, "Write the first message below."),
  ];
}
