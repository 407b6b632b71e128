/**
 * The heights of a very long column, and sums of them in O(log n): a Fenwick
 * tree. Rows have an estimated height until they have been measured. Pure.
 */

export class Heights {
  /** @param {number} estimate In pixels. */
  constructor(estimate) {
    this.estimate = estimate;
    this.length = 0;
    this._size = 1;
    this._heights = new Float64Array(1);
    this._tree = new Float64Array(2);
  }

  /** Have at least so many rows. @param {number} length */
  grow(length) {
    if (length <= this.length) return;
    if (length <= this._size) {
      for (let row = this.length; row < length; row += 1) {
        this._add(row, this.estimate);
      }
      this._heights.fill(this.estimate, this.length, length);
      this.length = length;
      return;
    }
    const heights = new Float64Array(2 ** Math.ceil(Math.log2(length)));
    heights.set(this._heights.subarray(0, this.length));
    heights.fill(this.estimate, this.length, length);
    this._heights = heights;
    this._size = heights.length;
    this.length = length;
    this._build();
  }

  /** Rows before this one take no room any more. @param {number} row */
  dropBefore(row) {
    this._heights.fill(0, 0, Math.min(row, this.length));
    this._build();
  }

  _build() {
    this._tree = new Float64Array(this._size + 1);
    for (let place = 1; place <= this._size; place += 1) {
      this._tree[place] += this._heights[place - 1];
      const parent = place + (place & -place);
      if (parent <= this._size) this._tree[parent] += this._tree[place];
    }
  }

  /** @param {number} row @param {number} difference */
  _add(row, difference) {
    for (let place = row + 1; place <= this._size; place += place & -place) {
      this._tree[place] += difference;
    }
  }

  /** @param {number} row */
  of(row) {
    return this._heights[row] ?? 0;
  }

  /** @param {number} row @param {number} height */
  set(row, height) {
    const difference = height - this._heights[row];
    if (difference === 0) return;
    this._heights[row] = height;
    this._add(row, difference);
  }

  /** The height of all rows before this one. @param {number} row */
  before(row) {
    let sum = 0;
    for (let place = Math.min(row, this.length); place > 0; place -= place & -place) {
      sum += this._tree[place];
    }
    return sum;
  }

  get total() {
    return this.before(this.length);
  }

  /** The row at an offset from the top. @param {number} offset */
  at(offset) {
    let place = 0;
    let left = offset;
    for (let step = this._size; step > 0; step >>= 1) {
      if (place + step <= this._size && this._tree[place + step] <= left) {
        place += step;
        left -= this._tree[place];
      }
    }
    return Math.max(0, Math.min(place, this.length - 1));
  }
}
