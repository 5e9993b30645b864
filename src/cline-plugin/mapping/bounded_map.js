// Maps that are used as memories which must not grow without end: what is used stays, what is oldest goes.

/**
 * Puts a value into a map as its newest; where that makes it too large, the oldest go.
 *
 * @template K, V
 * @param {Map<K, V>} map
 * @param {K} key
 * @param {V} value
 * @param {number} limit how many the map may have
 */
export function keep(map, key, value, limit) {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    if (map.size <= limit) return;
  }
}

/**
 * Adds a value to those under a key.
 *
 * @template K, V
 * @param {Map<K, V[]>} map
 * @param {K} key
 * @param {V} value
 * @param {number} limit how many keys the map may have
 */
export function push(map, key, value, limit) {
  const values = map.get(key);
  if (values) values.push(value);
  else keep(map, key, [value], limit);
}

/**
 * Takes the first value under the key that the test accepts, or undefined.
 *
 * @template K, V
 * @param {Map<K, V[]>} map
 * @param {K} key
 * @param {(value: V) => boolean} accepts
 * @returns {V | undefined}
 */
export function take(map, key, accepts = () => true) {
  const values = map.get(key);
  const at = values ? values.findIndex(accepts) : -1;
  if (!values || at < 0) return undefined;
  const [value] = values.splice(at, 1);
  if (values.length === 0) map.delete(key);
  return value;
}
