// The real `kilo run --attach` and `kilo attach` against our daemon.
//
//     cargo build -p kilo-cli && node --test tests/clients/
//
// KILO_BIN names another binary, KILO_REAL_CLIENT_DIR a folder where the real client is (or is to be) installed.
import assert from "node:assert/strict"
import { after, before, describe, it } from "node:test"
import { noTerminal, realClient } from "./package.mjs"
import { Place } from "./place.mjs"
import { Terminal } from "./terminal.mjs"

const client = realClient()
const ASKING = { name: "bash", input: { command: "python3 -c 'print(40+2)'", description: "Work it out" } }

describe("kilo run --attach", { skip: client.skip }, () => {
  let place
  before(async () => (place = await Place.open(client.path)))
  after(() => place?.close())

  it("prints the answer and ends", async () => {
    place.model.script("plain", [{ text: ["The answer ", "is 42."] }])
    const { code, out } = await place.run("what is it? [[plain]]")
    assert.deepEqual([code, out], [0, "The answer is 42.\n"])
  })

  it("prints the steps of a tool call as JSON", async () => {
    const read = { name: "read", input: { filePath: `${place.project}/README.md` } }
    place.model.script("json", [{ text: ["I look."], tool: read }, { text: ["Done."] }])
    const { code, out } = await place.run("look [[json]]", "--format", "json")
    const lines = out.trim().split("\n").map((line) => JSON.parse(line))
    const steps = ["step_start", "text", "tool_use", "step_finish", "step_start", "text", "step_finish"]
    assert.deepEqual([code, lines.map((line) => line.type)], [0, steps])
    const { tool, state } = lines[2].part
    assert.deepEqual([tool, state.status, state.title], ["read", "completed", "README.md"])
    assert.match(state.output, /1: # A small project/)
  })

  it("rejects a permission when nobody is there to answer", async () => {
    place.model.script("asking", [{ tool: ASKING }, { text: ["not reached"] }])
    const { code, err } = await place.run("run it [[asking]]")
    assert.equal(code, 1)
    assert.match(err, /permission requested: bash \(python3 -c 'print\(40\+2\)'\); auto-rejecting/)
    assert.equal(place.model.left("asking"), 1)
    assert.deepEqual(await place.call("GET", "/permission"), [])
  })

  it("grants permissions with --auto", async () => {
    place.model.script("auto", [{ tool: ASKING }, { text: ["It ran."] }])
    const { code, out, err } = await place.run("run it [[auto]]", "--auto")
    assert.deepEqual([code, out.trim()], [0, "It ran."], err)
  })

  it("fills a command of the project in, and leaves its shell alone", async () => {
    place.model.script("greet", [{ text: ["Hello, Ada."] }])
    const { code, out, err } = await place.run("--command", "greet", "Ada")
    assert.deepEqual([code, out], [0, "Hello, Ada.\n"], err)
    assert.match(JSON.stringify(place.model.requests.at(-1).messages), /Greet Ada, !`echo said the project` \[\[greet\]\]/)
  })

  it("runs the shell of a command of the user's own", async () => {
    place.model.script("mine", [{ text: ["Fine."] }])
    const { code, out, err } = await place.run("--command", "mine", "Ada")
    assert.deepEqual([code, out], [0, "Fine.\n"], err)
    assert.match(JSON.stringify(place.model.requests.at(-1).messages), /For Ada: shell of Ada \[\[mine\]\]/)
  })

  it("says what the provider said", async () => {
    place.model.script("refused", [{ error: { status: 400, message: "no such luck" } }])
    const { code, err } = await place.run("try [[refused]]")
    assert.equal(code, 1)
    assert.match(err, /no such luck/)
  })

  it("goes on with the last session", async () => {
    place.model.script("again", [{ text: ["Still here."] }])
    const { code, out } = await place.run("--continue", "and now? [[again]]")
    assert.deepEqual([code, out], [0, "Still here.\n"])
    assert.match(JSON.stringify(place.model.requests.at(-1).messages), /try \[\[refused\]\]/)
  })
})

describe("kilo attach", { skip: client.skip ?? noTerminal() }, () => {
  let place, screen
  before(async () => {
    place = await Place.open(client.path)
    const old = await place.call("POST", "/session", { title: "An older session" })
    place.model.script("old", [{ text: ["An older answer."] }])
    await place.call("POST", `/session/${old.id}/message`, { parts: [{ type: "text", text: "older question [[old]]" }] })
    const words = [client.path, "attach", place.url, "--dir", place.project]
    screen = new Terminal(words, { cwd: place.project, env: place.environment("client"), columns: 130 })
    await screen.wait(/Ask anything/, { ms: 60_000 })
  })
  after(async () => {
    screen?.close()
    await place?.close()
  })
  const send = async (text) => {
    await screen.type(text)
    await screen.press("Enter")
  }

  // The client looks for the daemon about once a second, and asks for no events that it missed: a title shows when it is back.
  async function followsAgain() {
    const [session] = await place.call("GET", "/session")
    for (let attempt = 1; ; attempt++) {
      await place.call("PATCH", `/session/${session.id}`, { title: `Attempt ${attempt}` })
      const seen = screen.wait(new RegExp(`Attempt ${attempt}`), { ms: 1_000 })
      if (await seen.then(() => true, (error) => attempt === 20 && Promise.reject(error))) return
    }
  }

  it("lists sessions and opens one", async () => {
    await screen.press("C-x", "l")
    await screen.wait(/Sessions[\s\S]*An older session/)
    await screen.press("Enter")
    await screen.wait(/older question[\s\S]*An older answer\./)
  })

  it("starts a session and shows the answer while it comes", async () => {
    place.model.script("stream", [{ text: ["first half, ", { gate: "half" }, "second half."] }])
    await screen.press("C-x", "n")
    await screen.wait(/Ask anything/)
    await send("talk to me [[stream]]")
    await screen.wait(/first half,/)
    assert.doesNotMatch(screen.screen(), /second half/)
    place.model.release("half")
    await screen.wait(/first half, second half\.[\s\S]*Code · Scripted · \d/)
  })

  it("shows a tool call and the diff of an edit", async () => {
    const edit = { filePath: `${place.project}/README.md`, oldString: "small", newString: "tiny" }
    const read = { name: "read", input: { filePath: edit.filePath } }
    place.model.script("edit", [{ tool: read }, { tool: { name: "edit", input: edit } }, { text: ["It is tiny now."] }])
    await send("make it tiny [[edit]]")
    await screen.wait(/→ Read README\.md[\s\S]*← Edit README\.md[\s\S]*- # A small project[\s\S]*\+ # A tiny project[\s\S]*It is tiny now\./)
  })

  it("shows the state of MCP servers, language servers and formatters", async () => {
    await screen.wait(/MCP[\s\S]*lamps Connected[\s\S]*LSP[\s\S]*• words/)
    await send("/status")
    await screen.wait(/1 MCP Server[\s\S]*lamps Connected[\s\S]*1 LSP Server[\s\S]*words[\s\S]*Formatters[\s\S]*lines/)
    await screen.press("Escape")
    await screen.wait(/Formatters/, { gone: true })
  })

  it("asks for a permission and takes a yes", async () => {
    place.model.script("yes", [{ tool: ASKING }, { text: ["The version is known."] }])
    await send("which version? [[yes]]")
    await screen.wait(/Permission required[\s\S]*python3 -c[\s\S]*Allow once/)
    await screen.press("Enter")
    await screen.wait(/42[\s\S]*The version is known\./)
  })

  it("takes a no, and the turn ends", async () => {
    place.model.script("no", [{ tool: ASKING }, { text: ["not reached"] }])
    await send("once more [[no]]")
    await screen.wait(/Permission required/)
    await screen.press("Right", "Right", "Enter")
    await screen.wait(/Reject permission/)
    await screen.press("Enter")
    await screen.wait(/Permission required|Reject permission/, { gone: true })
    assert.equal(place.model.left("no"), 1)
    assert.deepEqual(await place.call("GET", "/permission"), [])
  })

  it("asks a question and passes the answer on", async () => {
    const options = [{ label: "Red", description: "warm" }, { label: "Blue", description: "cold" }]
    const input = { questions: [{ question: "Which colour?", header: "Colour", options }] }
    place.model.script("question", [{ tool: { name: "question", input } }, { text: ["A fine colour."] }])
    await send("ask me [[question]]")
    await screen.wait(/Which colour\?[\s\S]*Red[\s\S]*Blue/)
    await screen.press("Down", "Enter")
    await screen.wait(/A fine colour\./)
    assert.match(place.model.requests.at(-1).messages.at(-1).content, /Which colour\?.*Blue/)
  })

  it("stops a turn with Escape, pressed twice", async () => {
    place.model.script("stop", [{ text: ["this goes on and ", { gate: "never" }, "on"] }])
    await send("talk for ever [[stop]]")
    await screen.wait(/this goes on and/)
    await screen.press("Escape", "Escape")
    await screen.wait(/Code · Scripted · interrupted/)
    assert.deepEqual(await place.call("GET", "/session/status"), {})
  })

  it("goes on when the daemon was killed and is back", async () => {
    await place.stop("SIGKILL")
    await place.serve()
    await followsAgain()
    place.model.script("back", [{ text: ["Back again."] }])
    await send("still there? [[back]]")
    await screen.wait(/Back again\./)
  })
})
