"""What tests of faults share (with machines.py, which has Postgres, clock and disk). Conventions:

- One file per kind, `test_bodies.py` or `test_log.py`, and one test per row: it starts the real program (KEYDESK_BIN), does the harm,
  and asserts what the person or program on the other side sees, then that it heals. It never looks inside the program.
- Every test ends by itself within its bound: 60 s, or `@pytest.mark.bounded(90)`. An alarm ends what hangs. Wait with `eventually`
  (of desk.py), never with a long sleep; all tests together take less than 15 minutes.
- Loopback only, and only processes are ended that the test started: begin them through the fixtures of conftest.py.
- `start(database, …)` gives a `Server`: a `Desk` (of ../clients/desk.py, so `person`, `create_key`, `command`, `log`) with its owner
  signed in. `database` runs a test once on SQLite and once on Postgres; ask for `"sqlite"` when it is a matter of one.
  Options: `extra=("--gateway-token", …)`, `environment={…}`, `prefix=("prlimit", "--nofile=256", "--")` (a command that executes the
  program), `data=Path` (its data folder, such as a small disk), `out=`, `err=` (a path, a file or a descriptor; both go to
  `server.log_file` otherwise).
- `server.halt()` (SIGTERM; gives the exit code), `server.kill()` (SIGKILL), `server.restart(out=…, prefix=…, …)`: again on the same
  data, port and folder; what is not named stays. A log that is a pipe belongs to a restart: the set-up link is read from the log file.
- `server.memory()` and `server.peak()` are bytes, `server.descriptors()` a number; `server.raw()` is a connected socket, of which
  `read_answer` reads one answer as (status, headers, body), and `server.chat(key, …)` one small request on a connection of its own.
- `server.another("Borealis")` founds a second organisation with an owner: it has `person`, `org` and `create_key` as the server has.
- `with neighbour(server) as n:` sends requests of another organisation's key steadily, each on a new connection, while the block
  runs. `n.unharmed()` asserts that all of them got 200 and the median is under 50 ms; `n.sent`, `n.failed`, `n.median`, `n.p99`.
- `provider` is a provider that is connected with `provider.connect(server)` and disturbed through its attributes: `delay` before the
  head, `pause` between the parts, `size` of the answer in bytes; or for one request, by what it says: `server.chat(key, "size=4000000
  pause=0.1")`. `server.model` is then the model that it serves.
- `postgres` is a Postgres of the test's own, to be stopped (`pause`, `resume`), killed (`kill`, `start`), cut (`cut`)
  and made a standby that takes no writes (`stand_by`, `promote`).
  `start(postgres.database())` uses it. `clock` moves time: `start(database, environment=clock.environment)`, `clock.move(3600)`.
- `small_disk(mebibytes)` is a tmpfs: `start("sqlite", data=disk.folder / "data")`, `disk.fill()`, `disk.free()`. It needs root.
- Say in a test's docstring what an operator would see; docs/operate.md has a row for each in "When this happens".
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from desk import READY_WITHIN, Answer, Desk, Person, Program, clean_environment, eventually

DEMONSTRATION = "demo/echo"
PASSWORD = "marble otter lantern seven"
MIB = 1024 * 1024
#: What another organisation has to be given whatever happens: every answer, and the median of them within this time.
CALM = 0.050


class Process(Program):
    """A program whose output may go anywhere; `desk.Program`'s goes to a file."""

    def __init__(self, argv: list[str], folder: Path, log: Path, env: dict[str, str], out=None, err=None):
        self.argv, self.log_file = argv, log
        with contextlib.ExitStack() as files:
            opened = [self._open(files, where if where is not None else log) for where in (out, err)]
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=opened[0], stderr=opened[1], cwd=folder, env=env)

    @staticmethod
    def _open(files, where):
        return files.enter_context(open(where, "ab")) if isinstance(where, (str, Path)) else where


class Server(Desk):
    """A desk that is harmed: see the top of this file."""

    def __init__(self, *, database_url=None, extra=(), environment=None, prefix=(), data: Path | None = None, out=None, err=None):
        self.prefix, self.data, self.out, self.err = prefix, data, out, err
        self.model = DEMONSTRATION
        super().__init__(database_url=database_url, extra=extra, environment=environment)

    def arguments(self) -> list[str]:
        data = self.data or self.folder / "data"
        return ["--data", str(data)] + (["--database-url", self.database_url] if self.database_url else [])

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def pid(self) -> int:
        return self._program.process.pid

    def launch(self) -> None:
        """Starts it without waiting until it is ready."""
        argv = [*self.prefix, self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--log-json", *self.arguments(), *self.extra]
        self._program = Process(argv, self.folder, self.log_file, clean_environment(**self.environment), self.out, self.err)

    def start(self) -> None:
        self.launch()
        eventually("/readyz answers 200", READY_WITHIN, self._ready)

    def halt(self) -> int:
        """SIGTERM, as every service manager does; the exit code. Fails when it has not ended within ten seconds."""
        return self._program.stop()

    def kill(self) -> None:
        self._program.process.kill()
        self._program.process.wait()

    def restart(self, **changed) -> None:
        """Again, as it was but for what is named. Ends it first if it runs."""
        if self._program.process.poll() is None:
            self.halt()
        for name, value in changed.items():
            assert hasattr(self, name), f"a server has no {name}"
            setattr(self, name, value)
        self.start()

    def stop(self) -> None:
        """For the fixture: whatever the test did to it, it is gone afterwards. How it ends is asserted with `halt`."""
        program = getattr(self, "_program", None)
        try:
            if program and program.process.poll() is None:
                program.process.send_signal(signal.SIGCONT)
                program.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.process.wait(3)
        finally:
            if program and program.process.poll() is None:
                self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, offset: int = 0) -> str:
        return self._program.log(offset)

    # --- what the operating system says of it

    def memory(self) -> int:
        """Bytes that it occupies now."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Bytes that it occupied at most since it started."""
        return self._status("VmHWM")

    def _status(self, what: str) -> int:
        return int(re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)[1]) * 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # --- what is asked of it

    def raw(self, sent: bytes = b"", *, source: str = "127.0.0.1", timeout: float = 30) -> socket.socket:
        """A connection from this loopback address, with these bytes sent. Close it, or use it in a `with`."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout, source_address=(source, 0))
        if sent:
            connection.sendall(sent)
        return connection

    def head(self, path: str, key=None, *, method: str = "POST", length: int | None = None, **headers: str) -> bytes:
        """The head of a request as it goes over a connection, `X-Name` written as `x_name`."""
        fields = {"host": f"127.0.0.1:{self.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if key is not None:
            fields["authorization"] = f"Bearer {getattr(key, 'secret', key)}"
        if length is not None:
            fields |= {"content-length": str(length), "content-type": fields.get("content-type", "application/json")}
        return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode()

    def chat(self, key, words: str = "Say it back", *, timeout: float = 10, **more) -> Answer:
        body = {"model": self.model, "messages": [{"role": "user", "content": words}], "max_tokens": 16, **more}
        return quick(self.port, "POST", "/v1/chat/completions", json.dumps(body).encode(), timeout, authorization=f"Bearer {getattr(key, 'secret', key)}")

    def answers(self, path: str = "/healthz", timeout: float = 2) -> int | None:
        """The status of a page, or nothing when there is no answer in time."""
        try:
            return quick(self.port, "GET", path, None, timeout).status
        except OSError:
            return None

    def another(self, name: str = "Borealis") -> Tenant:
        """A second organisation, through the command line and its owner's link."""
        email = f"{name.lower()}@example.com"
        link = re.search(r"/invite/[^\s\"'<>\\]+", self.command("orgs", "create", name, "--owner", email))
        person = Person(self.base)
        person.post(person.get(link[0]).form("/api/invitations/accept"), name="Otto Berg", password=PASSWORD)
        person = self.signed_in(email, PASSWORD)
        return Tenant(self, urllib.parse.urlsplit(person.get("/").url).path.split("/")[1], person)

    def signed_in(self, email: str, password: str) -> Person:
        person = Person(self.base)
        person.post(person.get("/sign-in").form("/api/session/sign-in"), email=email, password=password)
        return person


class Tenant(Desk):
    """Another organisation of a server; what people do with keys is the same."""

    def __init__(self, server: Server, org: str, person: Person):
        self.server, self.base, self.org, self.person, self._count = server, server.base, org, person, 0


def quick(port: int, method: str, path: str, body: bytes | None, timeout: float, **headers: str) -> Answer:
    """One request on a connection of its own; OSError when it fails or the answer is not whole within `timeout` seconds a step."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        kind = {"content-type": "application/json"} if body is not None else {}
        connection.request(method, path, body, {**kind, **headers})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer on a raw connection. OSError when the connection ends first."""
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error


class Neighbour:
    """Another organisation's key, whose requests go on whatever happens beside them."""

    def __init__(self, server: Server, key=None, *, every: float = 0.05, threads: int = 2, timeout: float = 5):
        self.server, self.every, self.timeout = server, every, timeout
        self.key = key or server.another("Neighbour").create_key("neighbour")
        self.times: list[float] = []
        self.failures: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Neighbour:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(self.timeout * 2)

    def _send(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                answer = self.server.chat(self.key, timeout=self.timeout)
                if answer.status == 200:
                    self.times.append(time.monotonic() - began)
                else:
                    self.failures.append(f"{answer.status} {answer.body[:200]}")
            except OSError as error:
                self.failures.append(repr(error))
            self._end.wait(max(0, began + self.every - time.monotonic()))

    @property
    def failed(self) -> int:
        return len(self.failures)

    @property
    def sent(self) -> int:
        return len(self.times) + len(self.failures)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def p99(self) -> float:
        return sorted(self.times)[int(len(self.times) * 0.99)]

    def forget(self) -> None:
        """What was so far does not count, such as the first requests after a start."""
        self.times, self.failures = [], []

    def unharmed(self) -> None:
        assert self.sent >= 20, f"the neighbour sent {self.sent} requests: too few to judge"
        assert not self.failures, f"{self.failed} of the neighbour's {self.sent} requests failed: {sorted(set(self.failures))[:5]}"
        assert self.median < CALM, f"the neighbour's median was {self.median * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms of {self.sent}"


class Provider:
    """Speaks OpenAI's chat, whole and streamed, as slowly and as much as it is told. `asked` has what it was asked."""

    def __init__(self):
        self.delay, self.pause, self.size = 0.0, 0.0, 20
        self.asked: list[dict] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes: waiting for the first one's acknowledgement would take 40 ms.
            disable_nagle_algorithm = True

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.asked.append(body)
                said = dict(re.findall(r"(size|delay|pause)=([\d.]+)", json.dumps(body.get("messages"))))
                size, delay, pause = (float(said.get(name, getattr(provider, name))) for name in ("size", "delay", "pause"))
                time.sleep(delay)
                with contextlib.suppress(OSError):
                    provider.say(self, body, int(size), pause)

            def log_message(self, *_):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads, block_on_close, request_queue_size = True, False, 256

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def connect(self, server: Server, *options: str, model: str = "gpt-5-mini") -> None:
        """The one provider of the server from now on."""
        server.command("providers", "add", "Slow", "--url", self.url, "--no-credential", *options)
        server.command("models", "route", model, "--to", "Slow")
        server.model = model

    def say(self, handler: BaseHTTPRequestHandler, body: dict, size: int, pause: float) -> None:
        about = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        handler.send_response(200)
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "a" * size}, "finish_reason": "stop"}
            text = json.dumps({**about, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(text)))
            handler.end_headers()
            for at in range(0, len(text), 16_384):
                handler.wfile.write(text[at : at + 16_384])
                time.sleep(pause)
            return
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        part = min(size, 16_384)
        chunks = [{"choices": [{"index": 0, "delta": {"content": "a" * part}, "finish_reason": None}]}] * max(1, size // part)
        for chunk in [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]:
            handler.wfile.write(f"data: {json.dumps({**about, 'object': 'chat.completion.chunk', **chunk})}\n\n".encode())
            time.sleep(pause)
        handler.wfile.write(b"data: [DONE]\n\n")
        handler.close_connection = True

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
