// Run an exported bundle with onnxruntime-node alone: npm install onnxruntime-node; node run_bundle.mjs FOLDER
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-node";

const folder = process.argv[2];
const about = JSON.parse(readFileSync(join(folder, "serving.json"), "utf8"));
const session = await ort.InferenceSession.create(join(folder, "policy.onnx"));
const kinds = {
  float32: ["float32", Float32Array], float64: ["float64", Float64Array], int64: ["int64", BigInt64Array],
  int32: ["int32", Int32Array], bool: ["bool", Uint8Array],
};

// The record of a learner nobody knows yet: keep it in your database, one row per learner.
let record = {};
for (const one of about.inputs.filter((one) => one.name.startsWith("record."))) {
  const [kind, Numbers] = kinds[one.type];
  const bytes = Uint8Array.from(Buffer.from(about.start[one.name], "base64"));
  record[one.name] = new ort.Tensor(kind, new Numbers(bytes.buffer), [1, ...one.shape.slice(1)]);
}

// Return the record after an event (activity -1: nothing happened), and what to do next.
async function step(record, activity = -1, correct = 0, minutes = 0, days = 0) {
  const event = {
    "event.days": new ort.Tensor("float32", Float32Array.of(days), [1]),
    "event.activity": new ort.Tensor("int64", BigInt64Array.of(BigInt(activity)), [1]),
    "event.correct": new ort.Tensor("float32", Float32Array.of(correct), [1]),
    "event.minutes": new ort.Tensor("float32", Float32Array.of(minutes), [1]),
    "event.accepted": new ort.Tensor("bool", Uint8Array.of(1), [1]),
  };
  const said = await session.run({ ...record, ...event });
  return [Object.fromEntries(Object.keys(record).map((name) => [name, said[`${name}'`]])), said];
}

let said;
[record, said] = await step(record);
for (let i = 0; i < 5; i++) {
  const p = Array.from(said.probabilities.data);
  const activity = p.indexOf(Math.max(...p));
  console.log(`${about.activities[activity].id} ${p[activity].toFixed(6)}`);
  [record, said] = await step(record, activity, 1, 5, 1);
}
