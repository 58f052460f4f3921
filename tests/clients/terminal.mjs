// A terminal that a program runs in, by tmux: type, press keys, wait for what the screen shows.
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { setTimeout as pause } from "node:timers/promises"

const LOOK_MS = 50
const WAIT_MS = 30_000
/** Between keys, so that the program does not take an Escape and what follows for one sequence. */
const KEY_MS = 300

export class Terminal {
  #socket = `kilo-${randomUUID().slice(0, 8)}`

  constructor(words, { cwd, env, columns = 120, rows = 40 }) {
    const variables = Object.entries({ ...env, COLORTERM: "truecolor" }).map(([name, value]) => `${name}=${value}`)
    const options = "set -g default-terminal tmux-256color ; set -g escape-time 0 ; set -g status off ; set -g remain-on-exit on ;"
    const size = ["-x", String(columns), "-y", String(rows), "-c", cwd]
    this.#tmux("start-server", ";", ...options.split(" "), "new-session", "-d", "-s", "main", ...size, "env", "-i", ...variables, ...words)
  }

  #tmux(...words) {
    const env = { PATH: process.env.PATH, LANG: "C.UTF-8", LC_ALL: "C.UTF-8", TERM: "xterm-256color" }
    return execFileSync("tmux", ["-L", this.#socket, "-f", "/dev/null", ...words], { env, encoding: "utf8" })
  }

  /** What is on the screen, without colours. */
  screen() {
    return this.#tmux("capture-pane", "-p", "-t", "main")
  }

  /** Waits until the screen fits, or until it no longer does. */
  async wait(pattern, { gone = false, ms = WAIT_MS } = {}) {
    for (const end = Date.now() + ms; Date.now() < end; await pause(LOOK_MS)) {
      if (pattern.test(this.screen()) !== gone) return
    }
    throw new Error(`the screen ${gone ? "still shows" : "does not show"} ${pattern}:\n${this.screen()}`)
  }

  async type(text) {
    this.#tmux("send-keys", "-t", "main", "-l", "--", text)
    await pause(KEY_MS)
  }

  /** Presses keys by their tmux names, one after the other. */
  async press(...keys) {
    for (const key of keys) {
      this.#tmux("send-keys", "-t", "main", key)
      await pause(KEY_MS)
    }
  }

  close() {
    this.#tmux("kill-server")
  }
}
