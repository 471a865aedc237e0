// The AI SDK, once whole and once streamed: `node ai_sdk.mjs WAY MODEL`. What is printed here, errors included, is what somebody reads
// whose script it is.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

const [way, name] = process.argv.slice(2);
const anthropic = createAnthropic({ baseURL: `${process.env.ANTHROPIC_BASE_URL}/v1` });
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const model = { messages: anthropic, responses: openai, chat: openai.chat }[way](name);
const prompt = "Say hello.";

try {
  console.log((await generateText({ model, prompt })).text);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
// It prints the error of a stream by itself, and ends the text.
let parts = 0;
for await (const part of streamText({ model, prompt }).textStream) {
  process.stdout.write(part);
  parts += 1;
}
if (parts === 0) process.exitCode = 1;
