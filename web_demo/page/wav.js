/** Mono 16-bit PCM as a WAV file. */
export function wavBlob(pcm, sampleRate) {
  const header = new DataView(new ArrayBuffer(44));
  const words = [[0, 0x52494646], [8, 0x57415645], [12, 0x666d7420], [36, 0x64617461]]; // RIFF WAVE fmt data
  for (const [at, word] of words) header.setUint32(at, word);
  const numbers = [[4, 36 + pcm.byteLength], [16, 16], [20, 0x00010001], [24, sampleRate], [28, 2 * sampleRate], [32, 0x00100002],
    [40, pcm.byteLength]];
  for (const [at, number] of numbers) header.setUint32(at, number, true);
  return new Blob([header, pcm], { type: "audio/wav" });
}
