// A model without weights: an OpenAI-compatible server in this process that answers what a test scripts.
//
// The last `[[name]]` in a request's messages names the script; its turns are used up one by one. A request without tools
// (a title, a summary) or without a script gets a fixed answer. A turn is `{text?: [chunk…], tool?: {name, input}, error?:
// {status, message}}`; a chunk `{gate: name}` waits for `release(name)`.
import http from "node:http"
import { once } from "node:events"

export async function startModel() {
  const scripts = new Map()
  const gates = new Map()
  const requests = []
  const gate = (name) => {
    if (!gates.has(name)) gates.set(name, Promise.withResolvers ? Promise.withResolvers() : deferred())
    return gates.get(name)
  }
  const server = http.createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const body = JSON.parse(Buffer.concat(chunks).toString() || "{}")
    requests.push(body)
    await answer(response, turnFor(scripts, body), gate, requests.length)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    requests,
    script: (name, turns) => scripts.set(name, [...turns]),
    /** Turns of a script that nobody has asked for. */
    left: (name) => scripts.get(name)?.length ?? 0,
    release: (name) => gate(name).resolve(),
    stop() {
      for (const waiting of gates.values()) waiting.resolve()
      server.closeAllConnections()
      server.close()
    },
  }
}

function deferred() {
  const result = {}
  result.promise = new Promise((resolve) => (result.resolve = resolve))
  return result
}

function turnFor(scripts, body) {
  if (!body.tools?.length) return { text: ["A title"] }
  for (const message of [...body.messages].reverse()) {
    if (message.role === "system") continue
    const name = [...JSON.stringify(message.content ?? "").matchAll(/\[\[([\w-]+)\]\]/g)].at(-1)?.[1]
    if (name) return scripts.get(name)?.shift() ?? { text: [`nothing scripted for ${name}`] }
  }
  return { text: ["no script"] }
}

async function answer(response, turn, gate, number) {
  if (turn.error) {
    response.writeHead(turn.error.status, { "content-type": "application/json" })
    return response.end(JSON.stringify({ error: { message: turn.error.message } }))
  }
  const send = (choice, more) =>
    response.write(
      `data: ${JSON.stringify({ id: `c${number}`, object: "chat.completion.chunk", model: "scripted", choices: choice ? [{ index: 0, finish_reason: null, ...choice }] : [], ...more })}\n\n`,
    )
  response.writeHead(200, { "content-type": "text/event-stream" })
  send({ delta: { role: "assistant", content: "" } })
  for (const chunk of turn.text ?? []) {
    if (typeof chunk === "string") send({ delta: { content: chunk } })
    else await Promise.race([gate(chunk.gate).promise, once(response, "close")])
  }
  if (turn.tool) {
    const call = { name: turn.tool.name, arguments: JSON.stringify(turn.tool.input) }
    send({ delta: { tool_calls: [{ index: 0, id: `call_${number}`, type: "function", function: call }] } })
  }
  send({ delta: {}, finish_reason: turn.tool ? "tool_calls" : "stop" })
  send(null, { usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } })
  response.end("data: [DONE]\n\n")
}
