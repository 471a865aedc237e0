"""A Keydesk of one's own: started on a free port with a data folder of its own, used as a person uses it (through its pages and
forms, with cookies), and always stopped again, by process id.

It knows forms, not the program's insides: what a page does not offer cannot be done here either."""

from __future__ import annotations

import html.parser
import http.client
import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ANA = {"name": "Ana Ruiz", "email": "ana@example.com", "password": "violet tram kettle orbit", "org": "Acme"}
LIMITS = ("month", "week", "day", "total", "rpm", "tpm", "concurrent")
READY_WITHIN = 20.0
STOP_WITHIN = 10.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(**more: str) -> dict[str, str]:
    """Settings of whoever runs the tests are not the tests'."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KEYDESK_", "LEPTOS_", "RUST_LOG"))}
    return {**kept, "NO_COLOR": "1", **more}


def eventually(what: str, within: float, ask):
    """The first true answer of `ask`, asked again and again for at most `within` seconds."""
    ends = time.monotonic() + within
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError(f"{what}: not within {within} s; the last answer was {answer!r}")
        time.sleep(0.05)


class Program:
    """A process that is watched and stopped. What it prints goes to a file."""

    def __init__(self, argv: list[str], folder: Path, log: Path, env: dict[str, str] | None = None):
        self.argv, self.log_file = argv, log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, env=env or clean_environment()
            )

    def log(self, offset: int = 0) -> str:
        return self.log_file.read_bytes()[offset:].decode(errors="replace")

    def log_size(self) -> int:
        return self.log_file.stat().st_size

    def alive(self) -> None:
        code = self.process.poll()
        assert code is None, f"{' '.join(self.argv)} ended with {code}; it printed:\n{self.log()}"

    def listens(self, port: int) -> None:
        def asked() -> bool:
            self.alive()
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(f"{self.argv[0]} listens on {port}; it printed:\n{self.log()}", READY_WITHIN, asked)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.argv[0]} did not stop within {STOP_WITHIN} s; it printed:\n{self.log()[-3000:]}")
        return self.process.returncode


@dataclass
class Form:
    """A form of a page, filled in as the page was drawn."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    offered: dict[str, set[str]] = field(default_factory=dict)

    def fill(self, **values: str | list[str]) -> list[tuple[str, str]]:
        """The fields to post, with `form[key][name]` written as `name`. Only what the form offers can be chosen."""
        filled = list(self.fields)
        for short, value in values.items():
            name = self.name_of(short)
            for one in [value] if isinstance(value, str) else value:
                choices = self.offered.get(name)
                assert choices is None or one in choices, f"{name} offers {sorted(choices or [])}, not {one!r}"
            at = next((place for place, (known, _) in enumerate(filled) if known == name), len(filled))
            filled = [pair for pair in filled if pair[0] != name]
            filled[at:at] = [(name, one) for one in ([value] if isinstance(value, str) else value)]
        return filled

    def name_of(self, short: str) -> str:
        names = {name for name, _ in self.fields} | set(self.offered)
        found = [name for name in names if name == short or name.endswith(f"[{short}]") or name.endswith(f"[{short}][]")]
        assert len(found) == 1, f"the form {self.action} has {len(found)} fields called {short}; it has {sorted(names)}"
        return found[0]


class Page(html.parser.HTMLParser):
    """What is needed of a page: its forms, its text, and the text of elements that have an id."""

    VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

    def __init__(self, url: str, status: int, body: str):
        super().__init__(convert_charrefs=True)
        self.url, self.status, self.body = url, status, body
        self.forms: list[Form] = []
        self.by_id: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.text = ""
        self._open: list[tuple[str, str | None]] = []
        self._form: Form | None = None
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._area: str | None = None
        self.feed(body)
        self.close()

    def form(self, action: str) -> Form:
        found = [form for form in self.forms if form.action == action]
        assert found, f"{self.url} ({self.status}) has no form {action}, only {[f.action for f in self.forms]}; it says: {self.words()[:600]}"
        return found[0]

    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text).strip()

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag not in self.VOID:
            self._open.append((tag, a.get("id")))
            if a.get("id"):
                self.by_id[a["id"]] = ""
                self.labels[a["id"]] = a.get("aria-label") or ""
        if tag == "pre" and a.get("aria-label"):
            self._label = a["aria-label"]
        if tag == "code" and a.get("id", "").startswith("snippet-"):
            self.labels[a["id"]] = self._label
        if tag == "form":
            self._form = Form(a.get("action", ""))
            self.forms.append(self._form)
        elif self._form is None or "disabled" in a:
            return
        elif tag == "input" and a.get("name"):
            name, value, kind = a["name"], a.get("value") or "", a.get("type", "text")
            if kind in ("radio", "checkbox"):
                value = a.get("value", "on")
                self._form.offered.setdefault(name, set()).add(value)
                if "checked" in a:
                    self._form.fields.append((name, value))
            elif kind not in ("submit", "button"):
                self._form.fields.append((name, value))
        elif tag == "select" and a.get("name"):
            self._select = (a["name"], [])
        elif tag == "option" and self._select:
            self._select[1].append((a.get("value") or "", "selected" in a))
        elif tag == "textarea" and a.get("name"):
            self._area = a["name"]
            self._form.fields.append((self._area, ""))

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif tag == "select" and self._select and self._form:
            name, options = self._select
            self._form.offered[name] = {value for value, _ in options}
            chosen = [value for value, selected in options if selected] or [value for value, _ in options[:1]]
            self._form.fields += [(name, value) for value in chosen[:1]]
            self._select = None
        elif tag == "textarea":
            self._area = None
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at][0] == tag:
                del self._open[at:]
                break

    def handle_data(self, data):
        if any(tag in ("script", "style") for tag, _ in self._open):
            return
        if self._area and self._form:
            name, value = self._form.fields[-1]
            self._form.fields[-1] = (name, value + data)
        self.text += data
        for _, known in self._open:
            if known:
                self.by_id[known] += data


class Person:
    """Somebody with a browser without script: cookies, forms, redirects."""

    def __init__(self, base: str):
        self.base = base
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )

    def get(self, path: str) -> Page:
        return self._ask(urllib.request.Request(urllib.parse.urljoin(self.base, path)))

    def file(self, path: str) -> str:
        """What is at an address that answers with a file."""
        with self._opener.open(urllib.parse.urljoin(self.base, path), timeout=20) as answer:
            assert answer.headers["content-disposition"].startswith("attachment"), path
            return answer.read().decode()

    def post(self, form: Form, /, **values) -> Page:
        """Posts the form and goes where the answer sends a browser. An answer that is an error page fails here."""
        data = urllib.parse.urlencode(form.fill(**values)).encode()
        page = self._ask(urllib.request.Request(urllib.parse.urljoin(self.base, form.action), data, {"Origin": self.base}))
        assert page.status == 200, f"{form.action} was answered with {page.status}: {page.words()[:1500]}"
        return page

    def _ask(self, request: urllib.request.Request) -> Page:
        request.add_header("Accept", "text/html")
        try:
            with self._opener.open(request, timeout=20) as answer:
                return Page(answer.url, answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.url, error.code, error.read().decode())


@dataclass
class Key:
    name: str
    id: str
    path: str
    secret: str
    #: The page that showed the secret.
    issued: Page

    @property
    def hint(self) -> str:
        return f"sk-…{self.secret[-4:]}"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self):
        return json.loads(self.body)


def ask(url: str, key: str | bytes | None = None, *, headers: dict[str, str] | None = None, body=None, source: str = "127.0.0.1") -> Answer:
    """Asks as a plain program does, without a client library; `source` is the loopback address that it asks from."""
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30, source_address=(source, 0))
    try:
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        path = target.path + (f"?{target.query}" if target.query else "")
        connection.putrequest("GET" if data is None else "POST", path)
        if key is not None:
            connection.putheader("authorization", b"Bearer " + (key.encode() if isinstance(key, str) else key))
        for name, value in sent.items():
            connection.putheader(name, value)
        if data is not None:
            connection.putheader("content-length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        text = answer.read().decode()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)
    finally:
        connection.close()


class Desk:
    """The program, serving, with its owner signed in."""

    def __init__(self, *, database_url: str | None = None, extra: tuple[str, ...] = (), environment: dict[str, str] | None = None):
        self.binary = os.environ["KEYDESK_BIN"]
        self.folder = Path(tempfile.mkdtemp(prefix="keydesk-clients-"))
        self.database_url = database_url
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._count = 0
        self._program: Program | None = None
        self.extra, self.environment = extra, environment or {}
        try:
            self.start()
            self._set_up()
            self.person = self.sign_in()
        except BaseException:
            self.stop()
            raise

    def arguments(self) -> list[str]:
        return ["--data", str(self.folder / "data")] + (["--database-url", self.database_url] if self.database_url else [])

    def start(self) -> None:
        log = self.folder / "log"
        argv = [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--log-json", *self.arguments(), *self.extra]
        self._program = Program(argv, self.folder, log, clean_environment(**self.environment))
        eventually("/readyz answers 200", READY_WITHIN, self._ready)

    def _ready(self) -> bool:
        self._program.alive()
        try:
            return ask(f"{self.base}/readyz").status == 200
        except OSError:
            return False

    def stop(self) -> None:
        try:
            if self._program:
                code = self._program.stop()
                assert code == 0, f"the program ended with {code}; it printed at the end:\n{self._program.log()[-3000:]}"
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- what it answered, by its own log

    def mark(self) -> int:
        self._logged()
        return self._program.log_size()

    def answered(self, mark: int, route: str | None = None) -> list[tuple[str, str, int]]:
        """Method, route and status of every request that reached the program since `mark` and was answered."""
        lines = [line["fields"] for line in self._answers(mark)]
        return [(line["method"], line["route"], line["status"]) for line in lines if route in (None, line["route"])]

    def answered_over(self, mark: int) -> float:
        """The seconds between the first and the last of these answers."""
        times = [datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")) for line in self._answers(mark)]
        return (times[-1] - times[0]).total_seconds() if times else 0.0

    def _answers(self, mark: int) -> list[dict]:
        own = self._logged()
        lines = [json.loads(line) for line in self._program.log(mark).splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("fields", {}).get("message") == "answered" and line["fields"]["request.id"] != own]

    def _logged(self) -> str:
        """Waits until the log has every answer so far, as a thread of its own writes it in their order. The id of the request with
        which it finds out."""
        # A stream's line is written at its end, which is a moment after its client has the last event.
        time.sleep(0.02)
        own = ask(f"{self.base}/healthz").headers["x-request-id"]
        eventually("the log is written", 5, lambda: own in self._program.log())
        return own

    def log(self, mark: int = 0) -> str:
        return self._program.log(mark)

    def errors(self) -> list[str]:
        return [line for line in self._program.log().splitlines() if '"level":"ERROR"' in line or "panicked at" in line]

    # --- what people do

    def _set_up(self) -> None:
        link = eventually("the set-up link", 5, lambda: re.search(r"/setup/[^\s\"'<>\\]+", self._program.log()))
        person = Person(self.base)
        page = person.post(person.get(link[0]).form("/api/session/setup"), **ANA)
        self.org = urllib.parse.urlsplit(page.url).path.split("/")[1]

    def sign_in(self) -> Person:
        person = Person(self.base)
        page = person.post(person.get("/sign-in").form("/api/session/sign-in"), email=ANA["email"], password=ANA["password"])
        assert ANA["org"] in page.words(), page.words()[:300]
        return person

    def create_key(self, what: str, **values) -> Key:
        """Through the form: no budget and no limits, every model, unless `values` say otherwise."""
        modes = {f"{limit}][mode": "limit" if limit in values else "none" for limit in LIMITS}
        return self.create_key_by_name(what, **{"scope": "every", **modes, **values})

    def create_key_by_name(self, what: str, **values) -> Key:
        """Through the form, which has a value for everything but the name."""
        self._count += 1
        name = f"{what} {self._count}"
        page = self.person.get(f"/{self.org}/keys/new")
        # A limit is `form[key][limits][rpm][value]`, beside its mode.
        fields = {f"{name}][value" if name in LIMITS else name: value for name, value in values.items()}
        issued = self.person.post(page.form("/api/keys/create"), name=name, **fields)
        path = urllib.parse.urlsplit(issued.url).path
        assert path.endswith("/issued"), f"no key was made: {issued.words()[:1500]}"
        secret = issued.by_id["secret"]
        assert re.fullmatch(r"sk-[a-z0-9-]+-[0-9A-Za-z]{38}", secret), secret
        path = path.removesuffix("/issued")
        return Key(name, path.split("/")[-1], path, secret, issued)

    def disable(self, key: Key) -> None:
        page = self.person.get(key.path)
        assert "Enable" in self.person.post(page.form("/api/keys/disable")).words()

    def revoke(self, key: Key) -> None:
        page = self.person.get(f"{key.path}/revoke")
        form = page.form("/api/keys/revoke")
        named = {"name": key.name} if any(name == "form[name]" for name, _ in form.fields) else {}
        self.person.post(form, **named)

    def key_page(self, key: Key) -> Page:
        return self.person.get(key.path)

    def snippets(self, key: Key) -> dict[str, str]:
        """What the issued page offers to copy, by the tab's words."""
        return {key.issued.labels[name]: text for name, text in key.issued.by_id.items() if name.startswith("snippet-")}

    # --- what programs with a key ask

    def spent_nanos(self, key: Key) -> int:
        """What the key spent in all, as it is told itself."""
        answer = ask(f"{self.base}/v1/key", key.secret)
        assert answer.status == 200, answer
        return answer.json["spent"]["total_nanos"]

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.binary, *arguments, *self.arguments()], env=clean_environment(), cwd=self.folder, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, f"keydesk {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout
