// A place to test in: a home, a repository, a scripted model, our daemon, and the client that attaches to it.
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { startModel } from "../support/model.mjs"

const BINARY = process.env.KILO_BIN ?? fileURLToPath(new URL("../../target/debug/kilo", import.meta.url))
const START_MS = 20_000
const RUN_MS = 60_000
const PASSWORD = "open-sesame"

// An MCP server with one tool.
const LAMPS = `
import { createInterface } from "node:readline"
const answers = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "lamps", version: "1" } }),
  "tools/list": () => ({ tools: [{ name: "light", description: "Lights a lamp", inputSchema: { type: "object" } }] }),
}
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line)
  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id, result: answers[method]?.(params) ?? {} }))
}
`

// A language server that finds nothing wrong.
const WORDS = `
let text = Buffer.alloc(0)
const say = (message) => {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message })
  process.stdout.write("Content-Length: " + Buffer.byteLength(body) + "\\r\\n\\r\\n" + body)
}
process.stdin.on("data", (more) => {
  text = Buffer.concat([text, more])
  for (;;) {
    const end = text.indexOf("\\r\\n\\r\\n")
    if (end < 0) return
    const length = Number(/length: (\\d+)/i.exec(text.subarray(0, end))[1])
    if (text.length < end + 4 + length) return
    const { id, method, params } = JSON.parse(text.subarray(end + 4, end + 4 + length))
    text = text.subarray(end + 4 + length)
    if (method === "initialize") say({ id, result: { capabilities: { textDocumentSync: 1 } } })
    else if (id !== undefined) say({ id, result: null })
    const file = params?.textDocument
    if (file?.text !== undefined || method === "textDocument/didChange")
      say({ method: "textDocument/publishDiagnostics", params: { uri: file.uri, version: file.version, diagnostics: [] } })
  }
})
`

export class Place {
  /** Starts everything. `client` is the path of the real client. */
  static async open(client) {
    const place = new Place()
    place.client = client
    place.root = mkdtempSync(join(tmpdir(), "kilo-clients-"))
    place.project = join(place.root, "project")
    place.model = await startModel()
    place.#makeProject()
    await place.serve()
    return place
  }

  #makeProject() {
    const files = {
      "README.md": "# A small project\n",
      "kilo.json": JSON.stringify({
        model: "scripted/scripted",
        provider: {
          scripted: {
            npm: "@ai-sdk/openai-compatible",
            name: "Scripted",
            options: { baseURL: this.model.url, apiKey: "none" },
            models: { scripted: { name: "Scripted", limit: { context: 100_000, output: 4_000 } } },
          },
        },
      }),
      ".kilo/command/greet.md": "---\ndescription: Greets somebody\n---\nGreet $1, !`echo said the project` [[greet]]\n",
      "../server/.config/kilo/kilo.json": JSON.stringify({
        mcp: { lamps: { type: "local", command: [process.execPath, join(this.root, "lamps.mjs")] } },
        formatter: { lines: { command: ["true", "$FILE"], extensions: [".md"] } },
        lsp: { words: { command: [process.execPath, join(this.root, "words.mjs")], extensions: [".md"] } },
      }),
      "../lamps.mjs": LAMPS,
      "../words.mjs": WORDS,
      "../server/.config/kilo/command/mine.md": "---\ndescription: Mine\n---\nFor $1: !`echo shell of $1` [[mine]]\n",
    }
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.project, name)), { recursive: true })
      writeFileSync(join(this.project, name), text)
    }
    const git = (...words) => execFileSync("git", words, { cwd: this.project, stdio: "ignore" })
    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "start")
  }

  /** The environment of a program with a home of its own. */
  environment(home) {
    const path = join(this.root, home)
    mkdirSync(path, { recursive: true })
    return {
      PATH: process.env.PATH,
      LANG: "C.UTF-8",
      HOME: path,
      KILO_SERVER_PASSWORD: PASSWORD,
      KILO_DISABLE_MODELS_FETCH: "1",
      KILO_DISABLE_LOCAL_DISCOVERY: "1",
      KILO_TELEMETRY_LEVEL: "off",
    }
  }

  /** Starts the daemon; after `stop` on the port that it had. */
  async serve() {
    const port = this.url ? new URL(this.url).port : "0"
    this.daemon = spawn(BINARY, ["serve", "--hostname", "127.0.0.1", "--port", port], {
      cwd: this.project,
      env: this.environment("server"),
      stdio: ["ignore", "pipe", "inherit"],
    })
    const line = await firstLine(this.daemon, /listening on (\S+)/)
    this.url = line[1]
  }

  /** Ends the daemon. */
  async stop(signal = "SIGTERM") {
    if (this.daemon.exitCode !== null || this.daemon.signalCode !== null) return
    const ended = once(this.daemon, "exit")
    this.daemon.kill(signal)
    await ended
  }

  async close() {
    await this.stop()
    this.model.stop()
    rmSync(this.root, { recursive: true, force: true })
  }

  /** Calls the daemon as any program would; returns the JSON of the answer. */
  async call(method, path, body) {
    const url = new URL(path, this.url)
    url.searchParams.set("directory", this.project)
    const headers = { authorization: `Basic ${btoa(`kilo:${PASSWORD}`)}`, "content-type": "application/json" }
    const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }

  /** Runs `kilo run --attach` to its end: `{code, out, err}`. */
  async run(...words) {
    const child = spawn(this.client, ["run", "--attach", this.url, ...words], {
      cwd: this.project,
      env: this.environment("client"),
      stdio: ["ignore", "pipe", "pipe"],
      timeout: RUN_MS,
    })
    const read = async (stream) => Buffer.concat(await stream.toArray()).toString()
    const [out, err, [code]] = await Promise.all([read(child.stdout), read(child.stderr), once(child, "close")])
    return { code, out, err: err.replaceAll(/\x1b\[[0-9;]*m/g, "") }
  }
}

/** The first line of a program's output that fits. */
function firstLine(child, pattern) {
  return new Promise((resolve, reject) => {
    let text = ""
    const timer = setTimeout(() => reject(new Error(`the daemon is not ready:\n${text}`)), START_MS)
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`the daemon ended with ${code}:\n${text}`)))
    child.stdout.on("data", (piece) => {
      text += piece
      const found = pattern.exec(text)
      if (found) {
        clearTimeout(timer)
        resolve(found)
      }
    })
  })
}
