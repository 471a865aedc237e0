//! Splits streams of bytes: into the events of `text/event-stream`, and into the elements of a JSON array, which Gemini
//! streams without `alt=sse`. A chunk may end anywhere.
//!
//! It parses no JSON and changes nothing: an event has its original bytes, so that exactly one event can be left out or
//! have other data. The memory of one event is bounded; of a longer one only the end is kept.

/// Most events of providers are a thousand times shorter.
const MAX_EVENT: usize = 4 << 20;
/// The end of a longer event, which contains its usage.
const END_KEPT: usize = 64 << 10;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its data lines, with line feeds between.
    pub data: Vec<u8>,
    /// Whether only the end of the data is kept.
    pub cut: bool,
    /// The original bytes with what separates the event from its neighbours, or the rest of them. Empty unless they are kept.
    pub raw: Vec<u8>,
}

impl Event {
    /// An event of `text/event-stream` with other data, in one line.
    pub fn with_data(&self, data: &[u8]) -> Vec<u8> {
        let others = self.raw.split_inclusive(|byte| matches!(byte, b'\r' | b'\n'));
        let others = others.filter(|line| !line.starts_with(b"data:") && !line.trim_ascii().is_empty());
        let mut bytes = others.flatten().copied().collect::<Vec<u8>>();
        bytes.extend_from_slice(b"data: ");
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(b"\n\n");
        bytes
    }

    /// Another element in place of this one. Without this one's bytes there is nothing to replace.
    pub fn with_element(&self, element: &[u8]) -> Vec<u8> {
        let before = self.raw.strip_suffix(self.data.as_slice());
        before.map_or_else(|| self.raw.clone(), |before| [before, element].concat())
    }
}

/// Keeps a bounded end of what is pushed.
fn push(data: &mut Vec<u8>, cut: &mut bool, bytes: &[u8]) {
    data.extend_from_slice(bytes);
    if data.len() > MAX_EVENT {
        data.drain(..data.len() - END_KEPT);
        *cut = true;
    }
}

/// Reads `text/event-stream`: lines end with CR, LF or both, lines that begin with a colon are comments.
#[derive(Default)]
pub struct Events {
    keeps_raw: bool,
    line: Vec<u8>,
    line_cut: bool,
    event: Event,
    has_data: bool,
    after_cr: bool,
    /// Whether the beginning of an event was passed on before its end.
    is_inside: bool,
}

impl Events {
    pub fn keeping_raw(keeps_raw: bool) -> Self {
        Self { keeps_raw, ..Self::default() }
    }

    pub fn feed(&mut self, bytes: &[u8], on: &mut impl FnMut(Event)) {
        let mut rest = bytes;
        while let Some(first) = rest.first().copied() {
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    self.keep(b"\n");
                    rest = rest.split_at(1).1;
                }
                self.end_line(on);
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (line, more) = rest.split_at(end.unwrap_or(rest.len()));
            push(&mut self.line, &mut self.line_cut, line);
            self.keep(line);
            rest = more;
            if let Some(end) = more.first().copied() {
                self.keep(&[end]);
                rest = more.split_at(1).1;
                match end {
                    // The next byte may be its line feed.
                    b'\r' => self.after_cr = true,
                    _ => self.end_line(on),
                }
            }
        }
        if self.event.raw.len() > MAX_EVENT {
            // An event of this size is never left out, so its bytes are passed on now.
            on(Event { raw: std::mem::take(&mut self.event.raw), ..Event::default() });
            self.is_inside = true;
        }
    }

    /// Whether what was passed on ends with an event. Only where raw bytes are kept.
    pub fn is_between(&self) -> bool {
        !self.is_inside
    }

    /// Ends the stream. The rest is an event, because some providers omit the last empty line.
    pub fn finish(&mut self, on: &mut impl FnMut(Event)) {
        if self.after_cr || !self.line.is_empty() {
            self.after_cr = false;
            self.end_line(on);
        }
        if self.has_data || !self.event.raw.is_empty() {
            self.end_event(on);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.keeps_raw {
            self.event.raw.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, on: &mut impl FnMut(Event)) {
        let line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.line_cut);
        if line.is_empty() {
            self.end_event(on);
        } else if cut || line.starts_with(b"data:") {
            // Only data is this long.
            let value = line.strip_prefix(b"data:").unwrap_or(&line);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if self.has_data {
                push(&mut self.event.data, &mut self.event.cut, b"\n");
            }
            push(&mut self.event.data, &mut self.event.cut, value);
            self.event.cut |= cut;
            self.has_data = true;
        }
    }

    fn end_event(&mut self, on: &mut impl FnMut(Event)) {
        self.has_data = false;
        self.is_inside = false;
        on(std::mem::take(&mut self.event));
    }
}

/// Reads `[{…},\n{…}]`: each element is an event.
#[derive(Default)]
pub struct Elements {
    keeps_raw: bool,
    event: Event,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the beginning of an element was passed on before its end.
    is_inside: bool,
}

impl Elements {
    pub fn keeping_raw(keeps_raw: bool) -> Self {
        Self { keeps_raw, ..Self::default() }
    }

    pub fn feed(&mut self, bytes: &[u8], on: &mut impl FnMut(Event)) {
        let (mut start, mut kept) = (0, 0);
        for (position, byte) in bytes.iter().copied().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => {
                    if self.depth == 0 {
                        start = position;
                    }
                    self.depth += 1;
                }
                b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let element = bytes.get(start..=position).unwrap_or_default();
                        push(&mut self.event.data, &mut self.event.cut, element);
                        self.keep(bytes.get(kept..=position).unwrap_or_default());
                        kept = position + 1;
                        self.is_inside = false;
                        on(std::mem::take(&mut self.event));
                    }
                }
                _ => {}
            }
        }
        if self.depth > 0 {
            push(&mut self.event.data, &mut self.event.cut, bytes.get(start..).unwrap_or_default());
        }
        self.keep(bytes.get(kept..).unwrap_or_default());
        if self.keeps_raw && (self.depth == 0 || self.event.raw.len() > MAX_EVENT) {
            // No element has begun, or one of a size that is never left out.
            on(Event { raw: std::mem::take(&mut self.event.raw), ..Event::default() });
            self.is_inside |= self.depth > 0;
        }
    }

    /// Whether what was passed on ends with an element, or with what is between two. Only where raw bytes are kept.
    pub fn is_between(&self) -> bool {
        !self.is_inside
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.keeps_raw {
            self.event.raw.extend_from_slice(bytes);
        }
    }
}
