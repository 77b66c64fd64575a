// The page: what its buttons do. The voice, the player and the mels are the package's.

import { fetchBytes, load } from "./wavernn/index.js";
import { Player } from "./wavernn/player.js";
import { SoundView } from "./sound-view.js";
import { wavBlob } from "./wav.js";

const $ = (id) => document.getElementById(id);
const MAX_RECORD_S = 10;
const MAX_FILE_MB = 64;
const MAX_AUDIO_S = 120;
const OWN = "own";

let voice;
let voiceName; // of the bundled voice, whose hashes are known
let clips = [];
const savings = new Map(); // what a button saves: {blob, name}
let own; // {text, mels, recording}
let sound; // {player, view, context}
let running = 0;

// ---- words

function say(text) {
  $("status").textContent = text;
}

function fail(error) {
  console.debug(error);
  $("error").textContent = error.message;
  $("error").hidden = false;
  say("");
}

/** A handler whose failures are shown. */
const shown = (handler) => async (...args) => {
  $("error").hidden = true;
  try {
    await handler(...args);
  } catch (error) {
    fail(error);
  }
};

function fact(id, text, mood = "") {
  $(id).textContent = text;
  $(id).className = mood;
}

// ---- clips

function chosen() {
  const id = document.querySelector('input[name="clip"]:checked').value;
  return id === OWN ? own : clips.find((clip) => clip.id === id);
}

function showSystems() {
  const systems = [["wavernn", "This network"], ...Object.entries(chosen().systems ?? {}).map(([id, { title }]) => [id, title])];
  if (chosen().recording) systems.unshift(["recording", "Recording"]);
  $("compare").replaceChildren(...systems.map(([id, title]) => {
    const button = Object.assign(document.createElement("button"), { textContent: title, disabled: !voice });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", shown(() => (id === "wavernn" ? speak() : playCopy(id, title))));
    button.dataset.system = id;
    return button;
  }));
}

function useOwn(text, mels, recording) {
  own = { text, mels, recording };
  $("own").textContent = text;
  Object.assign(document.querySelector(`input[value="${OWN}"]`), { disabled: false, checked: true });
  showSystems();
}

// ---- sound

async function audio() {
  if (sound?.context.sampleRate !== voice.info.sampleRate) {
    await sound?.context.close();
    const context = new AudioContext({ sampleRate: voice.info.sampleRate });
    const view = new SoundView(context, $("spectrogram"), $("waveform"));
    sound = { context, view, player: await Player.open(context, view.analyser) };
  }
  return sound;
}

async function play(system, chunks, onChunk) {
  const run = ++running;
  const { player, view } = await audio();
  for (const button of $("compare").children) button.setAttribute("aria-pressed", String(button.dataset.system === system));
  $("stop").disabled = false;
  view.start();
  $("sound").scrollIntoView({ block: "nearest" });
  try {
    return await player.play(chunks, { onChunk });
  } finally {
    if (run === running) {
      view.stop();
      $("stop").disabled = true;
      for (const button of $("compare").children) button.setAttribute("aria-pressed", "false");
    }
  }
}

const joined = (parts) => {
  const pcm = new Int16Array(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => (pcm.set(part, at), at + part.length), 0);
  return pcm;
};

async function speak() {
  const clip = chosen();
  const start = performance.now();
  clip.mels ??= await voice.readMels(await fetchBytes(clip.npy), clip.npy);
  const stream = voice.stream(clip.mels, { seed: 0, chunkFrames: 8 });
  const parts = [];
  for (const id of ["speed", "first", "bits"]) fact(id, "…");
  say("Speaking …");
  const whole = await play("wavernn", stream, (pcm) => {
    if (!parts.length) fact("first", `${Math.round(performance.now() - start)} ms`);
    parts.push(pcm);
    const { samples, computeMs, isa } = stream.stats;
    fact("speed", `${((1000 * samples) / voice.info.sampleRate / computeMs).toFixed(1)} ×`);
    fact("isa", isa);
  });
  if (!whole) return;
  const pcm = joined(parts);
  await check(clip, pcm);
  offer("save", wavBlob(pcm, voice.info.sampleRate), "wavernn.wav");
  const gaps = sound.player.gaps;
  const slow = gaps ? `, ${gaps} ${gaps === 1 ? "gap" : "gaps"}: this device is slow or busy` : "";
  say(`Done: ${(pcm.length / voice.info.sampleRate).toFixed(1)} s${slow}.`);
}

/** From now on this button saves the blob. */
function offer(button, blob, name) {
  savings.set(button, { blob, name });
  $(button).disabled = false;
}

function save({ currentTarget }) {
  const { blob, name } = savings.get(currentTarget.id);
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // a browser may still read it after click()
}

async function check(clip, pcm) {
  const hash = await voice.sha256(pcm);
  $("hash").textContent = hash;
  if (!clip.sha256 || !voiceName) fact("bits", "not known");
  else if (hash === clip.sha256) fact("bits", "✔ yes", "good");
  else {
    fact("bits", "✘ no", "bad");
    throw new Error(`The samples have SHA-256 ${hash}, wanted ${clip.sha256}. Please report it, with your browser and device.`);
  }
}

async function playCopy(system, title) {
  const clip = chosen();
  const url = system === "recording" ? clip.recording : clip.systems[system].url;
  const samples = typeof url === "string" ? await decode(await fetchBytes(url), url) : url;
  const pcm = Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(32768 * x))));
  say(`${title} …`);
  await play(system, [pcm]);
  say("");
}

/** Mono samples at the voice's rate. */
async function decode(bytes, name) {
  const context = new OfflineAudioContext(1, 1, voice.info.sampleRate);
  let buffer;
  try {
    buffer = await context.decodeAudioData(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  } catch {
    throw new Error(`${name}: found no audio that this browser can read, wanted a WAV, MP3, OGG or M4A file`);
  }
  if (buffer.duration > MAX_AUDIO_S) throw new Error(`${name}: found ${Math.round(buffer.duration)} s of audio, wanted at most ${MAX_AUDIO_S} s`);
  const mono = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) buffer.getChannelData(c).forEach((x, i) => (mono[i] += x / buffer.numberOfChannels));
  return mono;
}

// ---- files and the microphone

/** The bytes of a file, unless it is so large that reading it would hold up the page. */
async function read(file) {
  const mb = Math.ceil(file.size / 2 ** 20);
  if (mb > MAX_FILE_MB) throw new Error(`${file.name}: found ${mb} MB, wanted at most ${MAX_FILE_MB} MB`);
  return new Uint8Array(await file.arrayBuffer());
}

async function openVoice(file) {
  const next = await load(await read(file), { worker: true, name: file.name });
  voice.close();
  voice = next;
  voiceName = null;
  for (const clip of clips) delete clip.mels;
  $("voice-name").textContent = describe(file.name);
  say(`${file.name} is open. Its mels are ${voice.info.melName}.`);
}

async function openMels(file) {
  useOwn(`Your mels: ${file.name}`, await voice.readMels(await read(file), file.name));
  await speak();
}

async function openAudio(bytes, name) {
  say("Computing its mel spectrogram …");
  const samples = await decode(bytes, name);
  useOwn(`Your audio: ${name}`, await voice.analyse(samples), samples);
  await speak();
}

async function open(file) {
  const kind = file.name.split(".").pop().toLowerCase();
  if (kind === "bin") await openVoice(file);
  else if (kind === "npy") await openMels(file);
  else await openAudio(await read(file), file.name);
}

async function record() {
  if (record.now) return record.now.stop();
  let media;
  try {
    media = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    throw new Error(`Microphone: ${error.message}. Allow it for this page, or open a file.`);
  }
  const recorder = new MediaRecorder(media);
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.onstop = shown(async () => {
    record.now = null;
    $("record").textContent = "● Record";
    for (const track of media.getTracks()) track.stop();
    await openAudio(new Uint8Array(await new Blob(parts).arrayBuffer()), "recording");
  });
  recorder.start();
  record.now = recorder;
  $("record").textContent = "■ Stop and copy";
  say(`Recording, at most ${MAX_RECORD_S} s …`);
  setTimeout(() => recorder.state === "recording" && recorder.stop(), 1000 * MAX_RECORD_S);
}

// ---- benchmark

function fill(row, ...texts) {
  texts.forEach((text, i) => ((row.cells[i] ?? row.insertCell()).textContent = text));
  return row;
}

async function benchmark() {
  const clip = chosen();
  clip.mels ??= await voice.readMels(await fetchBytes(clip.npy), clip.npy);
  $("bench").disabled = true;
  const results = [];
  const body = $("results").tBodies[0];
  body.replaceChildren();
  const rows = voice.info.isas.map((isa) => fill(body.insertRow(), isa, "…", "…")); // all now: nothing moves later
  $("results").hidden = false;
  try {
    for (const [i, isa] of voice.info.isas.entries()) {
      say(`Measuring ${isa} …`);
      const [result] = await voice.bench(clip.mels, { isas: [isa] });
      results.push(result);
      fill(rows[i], isa, (1 / result.rtf).toFixed(2), Math.round(result.samples_per_s).toLocaleString("en"));
    }
  } finally {
    $("bench").disabled = false;
  }
  const device = { user_agent: navigator.userAgent, cores: navigator.hardwareConcurrency ?? null };
  const report = JSON.stringify({ machine: null, device, results });
  offer("bench-save", new Blob([report], { type: "application/json" }), "wavernn-bench.json");
  window.benchmarkReport = report;
  say("Benchmark done.");
}

// ---- start

const describe = (name) => `${name}: ${voice.info.nUnits} units, ${voice.info.dtype}, ${voice.info.sampleRate / 1000} kHz`;

async function start() {
  const bundle = JSON.parse(new TextDecoder().decode(await fetchBytes("assets/bundle.json")));
  clips = bundle.clips;
  showSystems();
  voice = await load(bundle.voice, { worker: true });
  voiceName = bundle.name;
  $("voice-name").textContent = describe(bundle.name);
  fact("isa", voice.info.isas[0]);
  for (const button of document.querySelectorAll("#speak, #record, #bench, #compare button")) button.disabled = false;
  say("Ready.");
  document.documentElement.dataset.ready = "yes";
}

$("clips").addEventListener("change", showSystems);
for (const id of ["save", "bench-save"]) $(id).addEventListener("click", save);
$("speak").addEventListener("click", shown(speak));
$("stop").addEventListener("click", () => { sound?.player.stop(); say("Stopped."); });
$("record").addEventListener("click", shown(record));
$("bench").addEventListener("click", shown(benchmark));
for (const [id, kind] of [["audio-file", openAudioFile], ["voice-file", openVoice], ["mels-file", openMels]])
  $(id).addEventListener("change", shown(async ({ target }) => {
    const [file] = target.files;
    target.value = ""; // the same file may be chosen again
    if (file) await kind(file);
  }));
async function openAudioFile(file) { await openAudio(await read(file), file.name); }

addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("drop"); });
addEventListener("dragleave", () => document.body.classList.remove("drop"));
addEventListener("drop", shown(async (event) => {
  event.preventDefault();
  document.body.classList.remove("drop");
  for (const file of event.dataTransfer.files) await open(file);
}));

if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {}); // offline from the second visit on
shown(start)();
