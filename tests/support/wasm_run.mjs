// node wasm_run.mjs < a list of runs in JSON: {module, model, mel, options} -> [{isas, isa, sha256} or {error, status}]
import { readFileSync } from "node:fs";

const { load } = await import(process.argv[2]);
const answers = [];
for (const { module, model, mel, options } of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const voice = await load(readFileSync(model), { module: readFileSync(module), name: "m.bin" });
    const stream = voice.stream(voice.readMels(readFileSync(mel), "m.npy"), options);
    const parts = [...stream].map((pcm) => Buffer.from(pcm.buffer));
    const pcm = Buffer.concat(parts);
    answers.push({ isas: voice.info.isas, isa: stream.isa, sha256: voice.sha256(pcm), chunks: parts.length });
    stream.close();
  } catch (error) {
    answers.push({ error: error.message, status: error.status });
  }
}
console.log(JSON.stringify(answers));
