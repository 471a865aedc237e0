//! Encrypts what is too large for memory with a passphrase, for backups: Argon2id makes a key of the passphrase and the stream's
//! own salt, and AES-256-GCM seals parts of 64 KiB. A part's number and whether it is the last one are its nonce, so parts
//! cannot be exchanged, repeated or left out, and a stream that is cut off does not open.

use std::io::{self, ErrorKind, Read, Write};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

/// Bytes of a salt. Drawn again for each stream: the same key seals no two streams.
pub const SALT: usize = 16;

/// More than a sign-in costs: a backup can be tried out for years by who has it.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
const PART: usize = 64 * 1024;
const TAG: usize = 16;
const LABEL: &[u8] = b"keydesk sealed stream 1";

/// The key of one stream.
pub struct StreamKey(Aes256Gcm);

impl StreamKey {
    /// `None` when the machine has not the memory, or for a passphrase of more than four gigabytes.
    pub fn of(passphrase: &[u8], salt: &[u8; SALT]) -> Option<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, key.as_mut())
            .ok()?;
        Some(Self(Aes256Gcm::new_from_slice(key.as_ref()).ok()?))
    }
}

/// The number in eleven bytes, then 1 for the last part.
fn nonce(number: u64, is_last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce
}

/// Seals what is written to it. Without `finish`, the stream has no end and does not open.
pub struct SealingWriter<W> {
    out: W,
    key: StreamKey,
    number: u64,
    part: Zeroizing<Vec<u8>>,
}

impl<W: Write> SealingWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W, key: StreamKey) -> Self {
        Self { out, key, number: 0, part: Zeroizing::new(Vec::with_capacity(PART)) }
    }

    /// Writes the last part.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let payload = Payload { msg: &self.part, aad: LABEL };
        let sealed = self.key.0.encrypt(Nonce::from_slice(&nonce(self.number, is_last)), payload);
        self.out.write_all(&sealed.map_err(|_| io::Error::other("a part cannot be encrypted"))?)?;
        self.number += 1;
        self.part.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full part waits for what follows: it may be the last one.
        if self.part.len() == PART && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens what is read through it. Nothing is handed out before it was authenticated; an error of the kind `InvalidData` is
/// another passphrase, or a file that was altered or cut off.
pub struct OpeningReader<R> {
    input: R,
    key: StreamKey,
    number: u64,
    /// Read and not opened yet.
    sealed: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    is_over: bool,
}

impl<R: Read> OpeningReader<R> {
    /// Reads from `input`.
    ///
    /// # Errors
    /// When the first part cannot be read.
    pub fn new(mut input: R, key: StreamKey) -> io::Result<Self> {
        let sealed = read_part(&mut input)?;
        Ok(Self { input, key, number: 0, sealed, plain: Zeroizing::default(), at: 0, is_over: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        let next = read_part(&mut self.input)?;
        let is_last = next.is_empty();
        let payload = Payload { msg: &self.sealed, aad: LABEL };
        let opened = self.key.0.decrypt(Nonce::from_slice(&nonce(self.number, is_last)), payload);
        self.plain = Zeroizing::new(opened.map_err(|_| {
            io::Error::new(
                ErrorKind::InvalidData,
                "the passphrase is another one, or the file was altered or cut off",
            )
        })?);
        self.at = 0;
        self.number += 1;
        self.sealed = next;
        self.is_over = is_last;
        Ok(())
    }
}

impl<R: Read> Read for OpeningReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.is_over {
                return Ok(0);
            }
            self.open_next()?;
        }
        let taken = bytes.len().min(self.plain.len() - self.at);
        bytes[..taken].copy_from_slice(&self.plain[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// A whole sealed part, or less at the end.
fn read_part(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    input.take((PART + TAG) as u64).read_to_end(&mut part)?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(passphrase: &str, salt: u8) -> StreamKey {
        StreamKey::of(passphrase.as_bytes(), &[salt; SALT]).unwrap()
    }

    fn sealed(text: &[u8]) -> Vec<u8> {
        let mut writer = SealingWriter::new(Vec::new(), key("correct horse", 1));
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn opened(sealed: &[u8], key: StreamKey) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        OpeningReader::new(sealed, key)?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_at_every_length() {
        for length in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 7] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sealed = sealed(&text);
            assert_eq!(opened(&sealed, key("correct horse", 1)).unwrap(), text, "{length}");
            assert!(length < 32 || !sealed.windows(16).any(|part| part == &text[..16]));
        }
    }

    #[test]
    fn another_passphrase_or_another_salt_opens_nothing() {
        let sealed = sealed(b"the database");
        for other in [key("correct horse ", 1), key("correct horse", 2)] {
            assert_eq!(opened(&sealed, other).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn what_was_altered_exchanged_repeated_or_cut_off_does_not_open() {
        let text = vec![7; 3 * PART];
        let sealed = sealed(&text);
        let whole = PART + TAG;
        let parts: Vec<&[u8]> = sealed.chunks(whole).collect();
        let mut flipped = sealed.clone();
        flipped[whole + 5] ^= 1;
        let wrong = [
            flipped,
            [parts[1], parts[0], parts[2]].concat(),
            [parts[0], parts[0], parts[1], parts[2]].concat(),
            [parts[0], parts[2]].concat(),
            [parts[0], parts[1]].concat(),
            sealed[..sealed.len() - 1].to_vec(),
            [&sealed[..], b"x"].concat(),
            vec![],
        ];
        for (at, wrong) in wrong.iter().enumerate() {
            let error = opened(wrong, key("correct horse", 1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "case {at}");
        }
    }
}
