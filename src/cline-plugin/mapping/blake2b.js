// BLAKE2b (RFC 7693) without a key, of any digest size: Node.js offers that of 64 bytes alone, whose beginning is not
// the digest of another size.

const BLOCK_BYTES = 128;
const MASK = (1n << 64n) - 1n;
const INITIAL = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
];
// The order in which each round takes the words of a block, sixteen digits a round; two more are the first two again.
const ORDERS = [
  "0123456789abcdef",
  "ea489fd61c02b753",
  "b8c052fdae367194",
  "7931dcbe265a40f8",
  "905724afe1bc683d",
  "2c6a0b834d75fe19",
  "c51fed4a0763928b",
  "db7ec13950f4862a",
  "6fe9b308c2d714a5",
  "a2847615fb9e3cd0",
  "0123456789abcdef",
  "ea489fd61c02b753",
].map((digits) => [...digits].map((digit) => Number.parseInt(digit, 16)));
// Which four words are mixed: columns, then diagonals.
const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

/**
 * @param {bigint} value
 * @param {bigint} bits
 */
const rotated = (value, bits) => ((value >> bits) | (value << (64n - bits))) & MASK;

/**
 * @param {BigUint64Array} words
 * @param {readonly number[]} places
 * @param {bigint} first
 * @param {bigint} second
 */
function mix(words, [a = 0, b = 0, c = 0, d = 0], first, second) {
  const at = (/** @type {number} */ place) => words[place] ?? 0n;
  // The array keeps 64 bits of what is put into it.
  words[a] = at(a) + at(b) + first;
  words[d] = rotated(at(d) ^ at(a), 32n);
  words[c] = at(c) + at(d);
  words[b] = rotated(at(b) ^ at(c), 24n);
  words[a] = at(a) + at(b) + second;
  words[d] = rotated(at(d) ^ at(a), 16n);
  words[c] = at(c) + at(d);
  words[b] = rotated(at(b) ^ at(c), 63n);
}

/**
 * @param {BigUint64Array} chain
 * @param {DataView} block
 * @param {number} countBytes of the text up to the end of this block
 * @param {boolean} isLast
 */
function compress(chain, block, countBytes, isLast) {
  const words = BigUint64Array.from([...chain, ...INITIAL]);
  words[12] = (words[12] ?? 0n) ^ BigInt(countBytes);
  if (isLast) words[14] = (words[14] ?? 0n) ^ MASK;
  const word = (/** @type {number | undefined} */ place) => block.getBigUint64((place ?? 0) * 8, true);
  for (const order of ORDERS) {
    for (const [index, places] of QUARTERS.entries()) {
      mix(words, places, word(order[2 * index]), word(order[2 * index + 1]));
    }
  }
  for (let index = 0; index < 8; index += 1) {
    chain[index] = (chain[index] ?? 0n) ^ (words[index] ?? 0n) ^ (words[index + 8] ?? 0n);
  }
}

/**
 * The digest in hex digits.
 *
 * @param {string} text which is taken in UTF-8
 * @param {number} sizeBytes from 1 to 64
 */
export function blake2b(text, sizeBytes) {
  const bytes = Buffer.from(text, "utf8");
  const chain = BigUint64Array.from(INITIAL);
  chain[0] = (chain[0] ?? 0n) ^ BigInt(0x0101_0000 | sizeBytes);
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK_BYTES));
  for (let index = 0; index < blocks; index += 1) {
    const block = new Uint8Array(BLOCK_BYTES);
    block.set(bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES));
    const countBytes = Math.min(bytes.length, (index + 1) * BLOCK_BYTES);
    compress(chain, new DataView(block.buffer), countBytes, index === blocks - 1);
  }
  const digest = new DataView(new ArrayBuffer(64));
  chain.forEach((word, index) => {
    digest.setBigUint64(index * 8, word, true);
  });
  return Buffer.from(digest.buffer, 0, sizeBytes).toString("hex");
}
