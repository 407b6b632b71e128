/**
 * QR codes (ISO/IEC 18004): bytes, versions 1 to 10, error correction M.
 *
 * `qrMatrix` is pure; it makes the data with its Reed–Solomon codewords, lays
 * them out, and takes the mask with the lowest penalty. An address of up to
 * 213 bytes fits.
 */

import { h } from "./dom.js";

/** Per version: codewords of error correction a block, then [blocks, data] groups. */
const LAYOUT = /** @type {[number, [number, number][]][]} */ ([
  [10, [[1, 16]]],
  [16, [[1, 28]]],
  [26, [[1, 44]]],
  [18, [[2, 32]]],
  [24, [[2, 43]]],
  [16, [[4, 27]]],
  [18, [[4, 31]]],
  [
    22,
    [
      [2, 38],
      [2, 39],
    ],
  ],
  [
    22,
    [
      [3, 36],
      [2, 37],
    ],
  ],
  [
    26,
    [
      [4, 43],
      [1, 44],
    ],
  ],
]);
const ALIGNED = [
  [],
  [6, 18],
  [6, 22],
  [6, 26],
  [6, 30],
  [6, 34],
  [6, 22, 38],
  [6, 24, 42],
  [6, 26, 46],
  [6, 28, 50],
];
const MASKS = /** @type {((row: number, column: number) => boolean)[]} */ ([
  (r, c) => (r + c) % 2 === 0,
  (r) => r % 2 === 0,
  (_, c) => c % 3 === 0,
  (r, c) => (r + c) % 3 === 0,
  (r, c) => (Math.floor(r / 2) + Math.floor(c / 3)) % 2 === 0,
  (r, c) => ((r * c) % 2) + ((r * c) % 3) === 0,
  (r, c) => (((r * c) % 2) + ((r * c) % 3)) % 2 === 0,
  (r, c) => (((r + c) % 2) + ((r * c) % 3)) % 2 === 0,
]);

const EXPONENT = new Uint8Array(512);
const LOGARITHM = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power += 1) {
  EXPONENT[power] = EXPONENT[power + 255] = value;
  LOGARITHM[value] = power;
  value = (value << 1) ^ (value > 127 ? 0x11d : 0);
}

/** The remainder of Reed–Solomon division: `count` codewords. @param {number[]} data @param {number} count */
function corrections(data, count) {
  let generator = [1];
  for (let power = 0; power < count; power += 1) {
    generator = [...generator, 0].map(
      (value, place) =>
        value ^
        (place > 0 && generator[place - 1] ? EXPONENT[LOGARITHM[generator[place - 1]] + power] : 0),
    );
  }
  const rest = [...data, ...new Array(count).fill(0)];
  for (let place = 0; place < data.length; place += 1) {
    const factor = rest[place];
    if (factor === 0) continue;
    generator.forEach((value, offset) => {
      if (value) {
        rest[place + offset] ^= EXPONENT[LOGARITHM[value] + LOGARITHM[factor]];
      }
    });
  }
  return rest.slice(data.length);
}

/** @param {number} version */
function capacity(version) {
  return LAYOUT[version - 1][1].reduce((sum, [blocks, data]) => sum + blocks * data, 0);
}

/** The data codewords: mode, length, bytes, end, padding. @param {Uint8Array} bytes @param {number} version */
function dataCodewords(bytes, version) {
  const lengthBits = version < 10 ? 8 : 16;
  let bits = `0100${bytes.length.toString(2).padStart(lengthBits, "0")}`;
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  const room = capacity(version) * 8;
  bits += "0".repeat(Math.min(4, room - bits.length));
  bits += "0".repeat((8 - (bits.length % 8)) % 8);
  const words = (bits.match(/.{8}/gu) ?? []).map((word) => parseInt(word, 2));
  for (let pad = 0xec; words.length < capacity(version); pad ^= 0xec ^ 0x11) {
    words.push(pad);
  }
  return words;
}

/** All codewords, the blocks interleaved. @param {number[]} words @param {number} version */
function interleaved(words, version) {
  const [count, groups] = LAYOUT[version - 1];
  /** @type {number[][]} */
  const blocks = [];
  let start = 0;
  for (const [blockCount, size] of groups) {
    for (let block = 0; block < blockCount; block += 1, start += size) {
      blocks.push(words.slice(start, start + size));
    }
  }
  const corrected = blocks.map((block) => corrections(block, count));
  const take = (/** @type {number[][]} */ rows) =>
    Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, place) =>
      rows.flatMap((row) => (place < row.length ? [row[place]] : [])),
    ).flat();
  return [...take(blocks), ...take(corrected)];
}

/** A code of BCH: the value with its remainder behind it. @param {number} value @param {number} generator @param {number} bits */
function withRemainder(value, generator, bits) {
  let rest = value << bits;
  for (let bit = 31 - Math.clz32(rest); bit >= bits; bit = 31 - Math.clz32(rest)) {
    rest ^= generator << (bit - bits);
  }
  return (value << bits) | rest;
}

class Matrix {
  /** @param {number} version */
  constructor(version) {
    this.size = 17 + 4 * version;
    /** @type {number[][]} 1 is dark, -1 is free. */
    this.cells = Array.from({ length: this.size }, () => new Array(this.size).fill(-1));
    this._patterns(version);
  }

  /** @param {number} row @param {number} column @param {number} value */
  set(row, column, value) {
    if (this.cells[row]?.[column] !== undefined) {
      this.cells[row][column] = value;
    }
  }

  /** Finders, timing, alignment, version, and room for the format. @param {number} version */
  _patterns(version) {
    const far = this.size - 7;
    for (const [top, left] of [
      [0, 0],
      [0, far],
      [far, 0],
    ]) {
      for (let r = -1; r <= 7; r += 1) {
        for (let c = -1; c <= 7; c += 1) {
          const ring = Math.max(Math.abs(r - 3), Math.abs(c - 3));
          this.set(top + r, left + c, ring === 2 || ring === 4 ? 0 : 1);
        }
      }
    }
    const centres = ALIGNED[version - 1];
    for (const row of centres) {
      for (const column of centres) {
        if (this.cells[row][column] !== -1) continue;
        for (let r = -2; r <= 2; r += 1) {
          for (let c = -2; c <= 2; c += 1) {
            this.set(row + r, column + c, Math.max(Math.abs(r), Math.abs(c)) === 1 ? 0 : 1);
          }
        }
      }
    }
    for (let place = 8; place < this.size - 8; place += 1) {
      this.set(6, place, 1 - (place % 2));
      this.set(place, 6, 1 - (place % 2));
    }
    if (version >= 7) {
      const bits = withRemainder(version, 0x1f25, 12);
      for (let bit = 0; bit < 18; bit += 1) {
        const [near, away] = [Math.floor(bit / 3), this.size - 11 + (bit % 3)];
        this.set(near, away, (bits >> bit) & 1);
        this.set(away, near, (bits >> bit) & 1);
      }
    }
    this.format(0);
  }

  /** Write the format: level M and the mask. @param {number} mask */
  format(mask) {
    const bits = withRemainder(mask, 0x537, 10) ^ 0x5412;
    for (let bit = 0; bit < 15; bit += 1) {
      const value = (bits >> bit) & 1;
      this.set(bit < 6 ? bit : bit < 8 ? bit + 1 : this.size - 15 + bit, 8, value);
      this.set(8, bit < 8 ? this.size - 1 - bit : bit === 8 ? 7 : 14 - bit, value);
    }
    this.set(this.size - 8, 8, 1);
  }

  /** Write the codewords into what is free, in the zigzag. @param {number[]} words */
  fill(words) {
    /** @type {[number, number][]} */
    const places = [];
    for (let right = this.size - 1; right > 0; right -= 2) {
      if (right === 6) right = 5;
      const isUp = ((right + 1) & 2) === 0;
      for (let step = 0; step < this.size; step += 1) {
        const row = isUp ? this.size - 1 - step : step;
        for (const column of [right, right - 1]) {
          if (this.cells[row][column] === -1) places.push([row, column]);
        }
      }
    }
    places.forEach(([row, column], index) => {
      this.cells[row][column] = ((words[index >> 3] ?? 0) >> (7 - (index & 7))) & 1;
    });
    return places;
  }
}

/** How hard a code is to read: the four rules of the standard. @param {number[][]} cells */
function penalty(cells) {
  const size = cells.length;
  const columns = cells.map((_, column) => cells.map((row) => row[column]));
  let sum = 0;
  for (const line of [...cells, ...columns]) {
    const text = line.join("");
    for (const run of text.match(/0{5,}|1{5,}/gu) ?? []) sum += run.length - 2;
    for (const pattern of ["10111010000", "00001011101"]) {
      for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + 1)) {
        sum += 40;
      }
    }
  }
  for (let row = 0; row < size - 1; row += 1) {
    for (let column = 0; column < size - 1; column += 1) {
      const four =
        cells[row][column] +
        cells[row][column + 1] +
        cells[row + 1][column] +
        cells[row + 1][column + 1];
      if (four === 0 || four === 4) sum += 3;
    }
  }
  const dark = cells.flat().filter((cell) => cell === 1).length / (size * size);
  return sum + 10 * Math.floor(Math.abs(dark * 100 - 50) / 5);
}

/**
 * The modules of the smallest code for a text, 1 for dark; RangeError if it
 * does not fit. @param {string} text @param {number} [onlyMask]
 */
export function qrMatrix(text, onlyMask) {
  const bytes = new TextEncoder().encode(text);
  const version =
    LAYOUT.findIndex((_, index) => capacity(index + 1) >= bytes.length + (index < 9 ? 2 : 3)) + 1;
  if (version === 0) {
    throw new RangeError("the text is too long for a code of version 10");
  }
  const words = interleaved(dataCodewords(bytes, version), version);
  /** @type {number[][]} */
  let best = [];
  let lowest = Infinity;
  MASKS.forEach((isFlipped, mask) => {
    if (onlyMask !== undefined && mask !== onlyMask) return;
    const matrix = new Matrix(version);
    for (const [row, column] of matrix.fill(words)) {
      if (isFlipped(row, column)) matrix.cells[row][column] ^= 1;
    }
    matrix.format(mask);
    const points = penalty(matrix.cells);
    if (points < lowest) [best, lowest] = [matrix.cells, points];
  });
  return best;
}

/** A picture of the code, black on white in dark pages too. @param {string} text @param {string} label */
export function qrCanvas(text, label) {
  const cells = qrMatrix(text);
  const scale = 6;
  const quiet = 4;
  const side = (cells.length + 2 * quiet) * scale;
  const canvas = h("canvas", {
    class: "qr",
    width: side,
    height: side,
    role: "img",
    "aria-label": label,
  });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, side, side);
  pen.fillStyle = "#000";
  cells.forEach((line, row) =>
    line.forEach((cell, column) => {
      if (cell) {
        pen.fillRect((column + quiet) * scale, (row + quiet) * scale, scale, scale);
      }
    }),
  );
  return canvas;
}
