// A mail server of one's own: it takes whatever it is sent, over real SMTP, and keeps it.
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

export type Received = { from: string; to: string[]; head: string; body: string };

export class PostOffice {
  readonly received: Received[] = [];

  private constructor(private readonly server: SMTPServer) {}

  static async start(): Promise<PostOffice> {
    const office: { open?: PostOffice } = {};
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      logger: false,
      onData(stream, session, done) {
        const parts: Buffer[] = [];
        stream.on("data", (part: Buffer) => parts.push(part));
        stream.on("end", () => {
          const { mailFrom, rcptTo } = session.envelope;
          const [head = "", ...rest] = Buffer.concat(parts).toString("utf8").split("\r\n\r\n");
          office.open?.received.push({
            from: mailFrom ? mailFrom.address : "",
            to: rcptTo.map(({ address }) => address),
            head,
            body: readable(head, rest.join("\r\n\r\n")),
          });
          done();
        });
      },
    });
    await new Promise<void>((ready, fail) => {
      server.once("error", fail);
      server.listen(0, "127.0.0.1", () => ready());
    });
    return (office.open = new PostOffice(server));
  }

  get url(): string {
    return `smtp://127.0.0.1:${(this.server.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await new Promise<void>((done) => this.server.close(() => done()));
  }
}

/** The text as it was before it was made fit for the way. */
function readable(head: string, body: string): string {
  if (/^content-transfer-encoding: base64/im.test(head)) return Buffer.from(body, "base64").toString("utf8");
  if (!/^content-transfer-encoding: quoted-printable/im.test(head)) return body;
  const bytes = body.replace(/=\r?\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
