// The reference's own program, as its users install it. It is only run, as a client.
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const VERSION = "7.7.9"
const NAME = `@kilocode/cli-${process.platform}-${process.arch}`
const INSTALL_MS = 300_000

/** Installs the package once into the build folder. Returns `{path}`, or `{skip: why}`. */
export function realClient() {
  const folder =
    process.env.KILO_REAL_CLIENT_DIR ?? fileURLToPath(new URL(`../../target/real-client-${VERSION}`, import.meta.url))
  const path = join(folder, "node_modules", NAME, "bin", "kilo")
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, "package.json"), '{"private":true}\n')
    const options = ["install", "--ignore-scripts", "--no-audit", "--no-fund", `${NAME}@${VERSION}`]
    const result = spawnSync("npm", options, { cwd: folder, timeout: INSTALL_MS, encoding: "utf8" })
    if (!existsSync(path)) {
      const why = result.error?.message ?? result.stderr.split("\n").find((line) => line.trim()) ?? "no reason given"
      return { skip: `${NAME}@${VERSION} cannot be installed: ${why}` }
    }
  }
  chmodSync(path, 0o755)
  return { path }
}

/** Why there is no terminal to drive, or nothing. */
export function noTerminal() {
  return spawnSync("tmux", ["-V"]).error ? "tmux is not installed" : undefined
}
