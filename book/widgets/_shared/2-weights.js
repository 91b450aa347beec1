// Trained weights: one byte a number, one scale a row, and a checksum over all bytes.

const CRC = Uint32Array.from({length: 256}, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

// CRC-32 as in Python's zlib.crc32.
function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

// {name: {shape, int8, scale} or {shape, float32}} -> {name: {shape, data: Float32Array}}, row after row.
// `checksum` is that of all bytes in the order of the names.
function weights(kept) {
  const tensors = {}, all = [];
  for (const [name, {shape, int8, scale, float32}] of Object.entries(kept.tensors)) {
    if (float32 !== undefined) {
      const bytes = bytesOf(float32);
      all.push(bytes);
      tensors[name] = {shape, data: new Float32Array(bytes.buffer)};
      continue;
    }
    const bytes = bytesOf(int8), scales = bytesOf(scale);
    all.push(bytes, scales);
    const whole = new Int8Array(bytes.buffer), of = new Float32Array(scales.buffer);
    const width = whole.length / of.length;
    tensors[name] = {shape, data: Float32Array.from(whole, (value, i) => value * of[Math.floor(i / width)])};
  }
  const total = all.reduce((sum, bytes) => sum + bytes.length, 0);
  const joined = new Uint8Array(total);
  all.reduce((at, bytes) => { joined.set(bytes, at); return at + bytes.length; }, 0);
  if (checksum(joined) !== kept.checksum) throw new Error("the checksum of the weights does not hold");
  return tensors;
}
