/**
 * What the page holds of one chat: messages by their seq, and which stretches
 * of seqs have been loaded. A loaded seq without a message does not exist for
 * this user; an unloaded one is fetched when it comes into sight. Pure.
 */

/** @typedef {import("./types.js").Message} Message */

const KEPT_MESSAGES = 4000;

/** Whole numbers as sorted, separate stretches [first, last]. */
export class Stretches {
  constructor() {
    /** @type {[number, number][]} */
    this.all = [];
  }

  /** @param {number} first @param {number} last */
  add(first, last) {
    if (last < first) return;
    const apart = this.all.filter(([a, b]) => b < first - 1 || a > last + 1);
    const joined = this.all.filter(([a, b]) => !(b < first - 1 || a > last + 1));
    const from = Math.min(first, ...joined.map(([a]) => a));
    const to = Math.max(last, ...joined.map(([, b]) => b));
    this.all = [...apart, /** @type {[number, number]} */ ([from, to])].sort(
      (one, other) => one[0] - other[0],
    );
  }

  /** @param {number} first @param {number} last */
  remove(first, last) {
    this.all = this.all.flatMap(([a, b]) => {
      if (b < first || a > last) return [[a, b]];
      /** @type {[number, number][]} */
      const left = [];
      if (a < first) left.push([a, first - 1]);
      if (b > last) left.push([last + 1, b]);
      return /** @type {any} */ (left);
    });
  }

  /** @param {number} number */
  has(number) {
    return this.all.some(([a, b]) => a <= number && number <= b);
  }

  /** The first number of [first, last] that is in none, or null. @param {number} first @param {number} last */
  firstMissing(first, last) {
    let wanted = first;
    for (const [a, b] of this.all) {
      if (a > wanted) break;
      if (b >= wanted) wanted = b + 1;
    }
    return wanted <= last ? wanted : null;
  }

  /** The last number of [first, last] that is in none, or null. @param {number} first @param {number} last */
  lastMissing(first, last) {
    let wanted = last;
    for (const [a, b] of [...this.all].reverse()) {
      if (b < wanted) break;
      if (a <= wanted) wanted = a - 1;
    }
    return wanted >= first ? wanted : null;
  }
}

export class Messages {
  /** @param {number} head */
  constructor(head) {
    this.head = head;
    /** The lowest seq that may exist for this user. */
    this.first = 1;
    /** @type {Map<number, Message>} */
    this.bySeq = new Map();
    /** @type {Map<string, number>} */
    this.seqOf = new Map();
    this.loaded = new Stretches();
    /** @type {Map<string, number>} The head as of which a comment count is right. */
    this._counted = new Map();
  }

  /** @param {string} id */
  byId(id) {
    const seq = this.seqOf.get(id);
    return seq === undefined ? undefined : this.bySeq.get(seq);
  }

  /** @param {number} seq */
  isUnknown(seq) {
    return !this.loaded.has(seq);
  }

  /** A message that came as an event, in order. @param {Message} message */
  append(message) {
    const before = this.head;
    this._put(message, message.seq);
    this.loaded.add(message.seq === before + 1 ? before + 1 : message.seq, message.seq);
    this.head = Math.max(this.head, message.seq);
    const target = message.is_comment_on === null ? undefined : this.byId(message.is_comment_on);
    if (target && message.seq > (this._counted.get(target.id) ?? 0)) {
      this._counted.set(target.id, message.seq);
      this.bySeq.set(target.seq, { ...target, comments: target.comments + 1 });
    }
  }

  /** More messages exist, which are not here. @param {number} head */
  grow(head) {
    this.head = Math.max(this.head, head);
  }

  /**
   * A page of history: everything from `first` (or, if that is null, from the
   * page's own first message) to `last` (or its own last message).
   * @param {import("./types.js").History} page
   * @param {{ before?: number, after?: number }} asked
   */
  addPage(page, asked) {
    this.grow(page.head);
    for (const message of page.messages) this._put(message, page.head);
    const [first, last] = [page.messages.at(0), page.messages.at(-1)];
    let from = asked.after === undefined ? undefined : asked.after + 1;
    let to = asked.before === undefined ? undefined : asked.before - 1;
    if (!page.has_older && asked.after === undefined) {
      this.first = Math.max(this.first, first ? first.seq : page.head + 1);
      from = this.first;
    }
    if (!page.has_newer && asked.before === undefined) to = page.head;
    from ??= first?.seq;
    to ??= last?.seq;
    if (from !== undefined && to !== undefined) this.loaded.add(from, to);
  }

  /** A message as it is now; an older state of it is ignored. @param {Message} message */
  change(message) {
    const known = this.byId(message.id);
    if (!known) return;
    const comments = Math.max(known.comments, message.comments);
    this._put({ ...message, comments }, this._counted.get(message.id) ?? 0);
  }

  /** People as they are called now; whether somebody has another name. @param {import("./types.js").Person[]} people */
  nameAuthors(people) {
    const names = new Map(people.map((one) => [one.id, one.name]));
    let isOther = false;
    for (const [seq, message] of this.bySeq) {
      const { id, name } = message.author;
      if ((names.get(id) ?? name) === name) continue;
      this.bySeq.set(seq, { ...message, author: { id, name: names.get(id) ?? name } });
      isOther = true;
    }
    return isOther;
  }

  /** Everything up to a seq was deleted by its age. @param {number} seq */
  expire(seq) {
    for (const [known, message] of this.bySeq) {
      if (known > seq) continue;
      this.bySeq.delete(known);
      this.seqOf.delete(message.id);
    }
    this.first = Math.max(this.first, Math.min(seq, this.head) + 1);
  }

  /** Let go of what is far from the seqs on screen. @param {number} first @param {number} last */
  trim(first, last) {
    if (this.bySeq.size <= KEPT_MESSAGES) return;
    const around = KEPT_MESSAGES / 4;
    const [from, to] = [first - around, last + around];
    for (const [seq, message] of this.bySeq) {
      if (seq >= from && seq <= to) continue;
      this.bySeq.delete(seq);
      this.seqOf.delete(message.id);
      this._counted.delete(message.id);
    }
    this.loaded.remove(this.first, from - 1);
    this.loaded.remove(to + 1, this.head);
  }

  /** @param {Message} message @param {number} asOf */
  _put(message, asOf) {
    const known = this.bySeq.get(message.seq);
    if (known && (known.revision ?? 0) > (message.revision ?? 0)) return;
    this.bySeq.set(message.seq, message);
    this.seqOf.set(message.id, message.seq);
    this._counted.set(message.id, Math.max(asOf, this._counted.get(message.id) ?? 0));
  }
}
