// A Keydesk of one's own: started on a free port with a data folder of its own, watched, and stopped politely.
import type { BrowserContext } from "@playwright/test";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type Credentials = { email: string; password: string };
export type Cookies = Awaited<ReturnType<BrowserContext["cookies"]>>;

const binary = () => process.env.KEYDESK_BIN ?? resolve(__dirname, "../../../target/release/keydesk");

/** Settings of the person who runs the tests are not the tests'. */
function clean(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(KEYDESK|LEPTOS)_|^RUST_LOG$/.test(name));
  return { ...Object.fromEntries(inherited), NO_COLOR: "1" };
}

async function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = address && typeof address === "object" ? address.port : 0;
      probe.close(() => done(port));
    });
  });
}

export class Desk {
  readonly url: string;
  /** Everything the server printed, standard output and errors together. */
  readonly logFile: string;
  /** The cookies of the owner, once signed in; kept for the worker's later tests. */
  cookies: Cookies | undefined;
  /** Who `signedIn` signs in as: set by the demo, or by the set-up. */
  owner: Credentials | undefined;
  /** The demo's people, in the order in which it lists them: what each is, in its words, and how they sign in. */
  readonly people: (Credentials & { role: string })[] = [];

  private constructor(
    private readonly folder: string,
    readonly port: number,
  ) {
    this.url = `http://127.0.0.1:${port}`;
    this.logFile = join(folder, "server.log");
  }

  private child: ChildProcess | undefined;
  private exited: Promise<string> | undefined;
  private end: string | undefined;

  /** `demo`: seed the demo's organisation first. `extra`: further arguments of `serve`. */
  static async start({ demo = false, extra = [] as string[] } = {}): Promise<Desk> {
    const desk = new Desk(mkdtempSync(join(tmpdir(), "keydesk-e2e-")), await freePort());
    try {
      if (demo) await desk.seed();
      desk.run(["serve", "--listen", `127.0.0.1:${desk.port}`, "--data", desk.data, ...extra]);
      await desk.ready();
    } catch (error) {
      desk.child?.kill("SIGKILL");
      rmSync(desk.folder, { recursive: true, force: true });
      throw error;
    }
    return desk;
  }

  get data(): string {
    return join(this.folder, "data");
  }

  /** What the server has printed so far, from `offset` on (see `logSize`). */
  log(offset = 0): string {
    return readFileSync(this.logFile).subarray(offset).toString("utf8");
  }

  logSize(): number {
    return statSync(this.logFile).size;
  }

  /** The one-time set-up link of a new data folder, as a path. */
  async setupPath(): Promise<string> {
    return this.printed(/\/setup\/[^\s"'<>\\]+/, "the set-up link");
  }

  /** Waits for something in the server's output, at most five seconds. */
  async printed(pattern: RegExp, what: string): Promise<string> {
    for (let waited = 0; waited < 5_000; waited += 50) {
      const found = pattern.exec(this.log());
      if (found) return found[0];
      await sleep(50);
    }
    throw new Error(`the server did not print ${what}; it printed:\n${this.log()}`);
  }

  /** The first of the demo's people whose role reads so. */
  who(role: RegExp): Credentials {
    const found = this.people.find((person) => role.test(person.role));
    if (!found) throw new Error(`the demo has nobody who is ${role}; it has ${this.people.map((person) => person.role).join(" | ")}`);
    return found;
  }

  /** What a command of the program prints, run on this desk's data; an error when it fails. */
  async command(...args: string[]): Promise<string> {
    const whole = [...args, "--data", this.data, "--listen", `127.0.0.1:${this.port}`];
    return new Promise((done, fail) => {
      execFile(binary(), whole, { env: clean(), cwd: this.folder, timeout: 10_000 }, (error, stdout, stderr) => {
        if (error) fail(new Error(`keydesk ${args.join(" ")}: ${error.message}\n${stdout}${stderr}`));
        else done(stdout.trim());
      });
    });
  }

  /** Stops with SIGTERM; an error when it needs more than ten seconds or does not exit with 0. */
  async stop(): Promise<void> {
    try {
      this.child?.kill("SIGTERM");
      const end = await Promise.race([this.exited, sleep(10_000, "late", { ref: false })]);
      if (end === "late") {
        this.child?.kill("SIGKILL");
        throw new Error(`the server did not stop within 10 s of SIGTERM; it printed at the end:\n${this.log().slice(-3000)}`);
      }
      if (end !== "code 0") throw new Error(`the server ended with ${end}; it printed at the end:\n${this.log().slice(-3000)}`);
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  private run(args: string[]): void {
    const out = openSync(this.logFile, "a");
    const child = spawn(binary(), args, { stdio: ["ignore", out, out], env: clean(), cwd: this.folder });
    closeSync(out);
    this.child = child;
    this.end = undefined;
    this.exited = new Promise((done) => {
      child.once("error", (error) => done((this.end = `not started: ${error.message}`)));
      child.once("exit", (code, signal) => done((this.end = signal ? `signal ${signal}` : `code ${code}`)));
    });
  }

  private async ready(): Promise<void> {
    for (let waited = 0; waited < 20_000; waited += 100) {
      if (this.end) throw new Error(`${binary()} ended before it was ready (${this.end}); it printed:\n${this.log()}`);
      const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
      if (answer?.status === 200) return;
      await sleep(100);
    }
    throw new Error(`/readyz was not 200 within 20 s; the server printed:\n${this.log()}`);
  }

  private async seed(): Promise<void> {
    this.run(["demo", "--data", this.data, "--quiet"]);
    const end = await Promise.race([this.exited, sleep(150_000, "no end within 150 s", { ref: false })]);
    const text = this.log();
    if (end !== "code 0") {
      throw new Error(`keydesk demo: ${end}; it printed:\n${text}`);
    }
    // One line for each person, what they are and their address ("admin of the team Data aylin@…"); and one "password …".
    const password = /^password:?\s+(\S.*?)\s*$/im.exec(text)?.[1];
    for (const [, role, email] of text.matchAll(/^(\S.*?):?\s+([^\s@]+@[^\s@,]+)\s*$/gim)) {
      if (role && email && password) this.people.push({ role, email, password });
    }
    this.owner = this.people.find(({ role }) => /^owner\b/.test(role));
    if (!this.owner) throw new Error(`keydesk demo printed no "owner … <email>" and "password <words>" lines; it printed:\n${text}`);
  }
}
