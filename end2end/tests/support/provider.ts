// A provider on a loopback port, for tests in a browser: it lists two models and answers in OpenAI's protocol.
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** What arrived there: method, path and the credential. */
export type Arrived = { target: string; authorization: string };

export class Provider {
  readonly arrived: Arrived[] = [];
  /** The API key that it takes; any other is refused. */
  readonly key: string;

  private constructor(
    private readonly server: Server,
    key: string,
  ) {
    this.key = key;
  }

  static async start(key: string): Promise<Provider> {
    const server = createServer();
    const provider = new Provider(server, key);
    server.on("request", (request: IncomingMessage, response) => {
      const authorization = request.headers.authorization ?? "";
      provider.arrived.push({ target: `${request.method} ${request.url}`, authorization });
      request.resume();
      request.on("end", () => {
        const [status, body] = provider.answer(request.url ?? "", authorization);
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(path: string, authorization: string): [number, unknown] {
    if (authorization !== `Bearer ${this.key}`) return [401, { error: { message: `Incorrect API key: ${authorization}` } }];
    if (path.endsWith("/models")) return [200, { object: "list", data: [{ id: "gpt-5-mini" }, { id: "own-model" }] }];
    const message = { role: "assistant", content: "Hello from afar" };
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    return [200, { id: "c1", object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }], usage }];
  }
}
