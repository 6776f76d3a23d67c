//! Netlink messages: built into a reusable buffer, read back from received bytes. Never trusts a length: what does not fit ends the walk.
//!
//! Layouts: `linux/netlink.h` (`nlmsghdr`, `nlattr`, `nlmsgerr`) and `linux/netfilter/nfnetlink.h` (`nfgenmsg`). Headers are in the host's byte order,
//! netfilter's attribute values in network order.

use std::str;

/// Bytes of a `nlmsghdr`.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a `nfgenmsg`.
pub const NETFILTER_BYTES: usize = 4;
/// Bytes of a `nlattr` before its value.
const ATTRIBUTE_BYTES: usize = 4;
/// The bits of an attribute's type that are its number; the two above say "nested" and "network byte order".
const KIND_BITS: u16 = 0x3FFF;
const NESTED_BIT: u16 = 0x8000;
/// NLMSGERR_ATTR_MSG: the kernel's words for an error.
const ERROR_TEXT: u16 = 1;

/// An attribute, a nest or a message was longer than its length field can say. The buffer is as it was before the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("netlink message or attribute too long")]
pub struct TooLong;

/// One message being built at the end of a buffer. `finish` completes it; several may follow each other in one buffer.
#[derive(Debug)]
#[must_use = "a message without `finish` has no length"]
pub struct Message<'b> {
    bytes: &'b mut Vec<u8>,
    start: usize,
    too_long: bool,
}

/// An open nest: where its attribute starts.
#[derive(Debug)]
#[must_use = "a nest without `end` has no length"]
pub struct Nest(usize);

impl<'b> Message<'b> {
    /// Starts a message at the end of `bytes`.
    pub fn begin(bytes: &'b mut Vec<u8>, kind: u16, flags: u16, sequence: u32) -> Self {
        let start = bytes.len();
        debug_assert_eq!(start % 4, 0, "messages are aligned");
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Message { bytes, start, too_long: false }
    }

    /// Starts a netfilter message: `kind` is `subsystem << 8 | message`, `resource` is in network order on the wire.
    pub fn netfilter(bytes: &'b mut Vec<u8>, kind: u16, flags: u16, sequence: u32, family: u8, resource: u16) -> Self {
        let message = Message::begin(bytes, kind, flags, sequence);
        message.bytes.extend_from_slice(&[family, libc::NFNETLINK_V0 as u8]);
        message.bytes.extend_from_slice(&resource.to_be_bytes());
        message
    }

    /// Bytes so far, header included.
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Appends raw bytes (a fixed header after `nlmsghdr`), padded to four.
    pub fn put_raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.align();
    }

    /// Appends an attribute with these bytes.
    pub fn put(&mut self, kind: u16, value: &[u8]) {
        self.open(kind, value.len());
        self.bytes.extend_from_slice(value);
        self.align();
    }

    /// Appends an attribute without a value.
    pub fn put_flag(&mut self, kind: u16) {
        self.open(kind, 0);
    }

    /// Appends one byte.
    pub fn put_u8(&mut self, kind: u16, value: u8) {
        self.put(kind, &[value]);
    }

    /// Appends a 16-bit number in network order.
    pub fn put_u16_be(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Appends a 32-bit number in network order.
    pub fn put_u32_be(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Appends a 64-bit number in network order.
    pub fn put_u64_be(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Appends a 32-bit number in the host's order (rtnetlink, sock_diag).
    pub fn put_u32_ne(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Appends a text with the NUL that the kernel expects behind it.
    pub fn put_str(&mut self, kind: u16, text: &str) {
        self.open(kind, text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.align();
    }

    /// Opens a nest.
    pub fn nest(&mut self, kind: u16) -> Nest {
        let at = self.bytes.len();
        self.open(kind | NESTED_BIT, 0);
        Nest(at)
    }

    /// Bytes of an open nest so far, its own header included. A nest may have 65,535.
    pub fn nest_bytes(&self, nest: &Nest) -> usize {
        self.bytes.len() - nest.0
    }

    /// Closes a nest. Nests close in the reverse order of opening.
    pub fn end(&mut self, nest: Nest) {
        let Ok(length) = u16::try_from(self.bytes.len() - nest.0) else {
            self.too_long = true;
            return;
        };
        if let Some(field) = self.bytes.get_mut(nest.0..nest.0 + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// Completes the message: writes its length. On an error the buffer is as it was before.
    pub fn finish(self) -> Result<(), TooLong> {
        let length = u32::try_from(self.bytes.len() - self.start).map_err(|_| TooLong);
        match length {
            Ok(length) if !self.too_long => {
                if let Some(field) = self.bytes.get_mut(self.start..self.start + 4) {
                    field.copy_from_slice(&length.to_ne_bytes());
                }
                Ok(())
            }
            _ => {
                self.bytes.truncate(self.start);
                Err(TooLong)
            }
        }
    }

    fn open(&mut self, kind: u16, value_bytes: usize) {
        let length = u16::try_from(ATTRIBUTE_BYTES + value_bytes).unwrap_or_else(|_| {
            self.too_long = true;
            0
        });
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// One received message.
#[derive(Debug, Clone, Copy)]
pub struct Received<'b> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The request's sequence number that it answers.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'b [u8],
}

/// What ends a request: an acknowledgment, an error, or a dump's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'b> {
    /// 0 for success, else a positive errno.
    pub errno: i32,
    /// The kernel's own words, if it has any.
    pub message: Option<&'b str>,
}

/// The messages in one datagram. Stops at the first that does not fit.
pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages { rest: bytes }
}

/// Iterator over messages.
#[derive(Debug, Clone)]
pub struct Messages<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Messages<'b> {
    type Item = Received<'b>;

    fn next(&mut self) -> Option<Received<'b>> {
        let (header, _) = self.rest.split_first_chunk::<HEADER_BYTES>()?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(payload) = self.rest.get(HEADER_BYTES..length) else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            payload,
        })
    }
}

impl<'b> Received<'b> {
    /// Whether this ends a request, and how; `None` for data.
    pub fn ending(&self) -> Option<Ending<'b>> {
        let (error, rest) = match self.payload.split_first_chunk::<4>() {
            Some((error, rest)) => (i32::from_ne_bytes(*error), rest),
            // The shortest end of a dump has no number at all.
            None => (0, &[][..]),
        };
        // The kernel writes errors as negative numbers; anything else is none of its errors.
        let errno = error.checked_neg().filter(|errno| *errno >= 0).unwrap_or(libc::EPROTO);
        let tail = match i32::from(self.kind) {
            libc::NLMSG_DONE => Some(rest),
            libc::NLMSG_ERROR if self.payload.len() < 4 => return Some(Ending { errno: libc::EPROTO, message: None }),
            libc::NLMSG_ERROR => self.after_echo(rest, errno),
            _ => return None,
        };
        let told = i32::from(self.flags) & libc::NLM_F_ACK_TLVS != 0;
        let message = tail.filter(|_| told).and_then(|tail| attributes(tail).find(|attribute| attribute.kind == ERROR_TEXT)?.text());
        Some(Ending { errno, message })
    }

    /// What follows the echoed request in an error: the header alone if it was capped or all went well, else the whole request.
    fn after_echo(&self, echo: &'b [u8], errno: i32) -> Option<&'b [u8]> {
        let capped = errno == 0 || i32::from(self.flags) & libc::NLM_F_CAPPED != 0;
        let length = if capped { HEADER_BYTES } else { u32::from_ne_bytes(*echo.first_chunk()?) as usize };
        echo.get(length.checked_next_multiple_of(4)?..)
    }

    /// For netfilter: the family, the resource id and the attributes.
    pub fn netfilter(&self) -> Option<(u8, u16, Attributes<'b>)> {
        let (header, rest) = self.payload.split_first_chunk::<NETFILTER_BYTES>()?;
        Some((header[0], u16::from_be_bytes([header[2], header[3]]), attributes(rest)))
    }
}

/// The attributes in these bytes. Stops at the first that does not fit.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// Iterator over attributes.
#[derive(Debug, Clone)]
pub struct Attributes<'b> {
    rest: &'b [u8],
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'b> {
    /// Its number, without the two flag bits.
    pub kind: u16,
    /// Its value, without padding.
    pub value: &'b [u8],
}

impl<'b> Iterator for Attributes<'b> {
    type Item = Attribute<'b>;

    #[inline]
    fn next(&mut self) -> Option<Attribute<'b>> {
        let (header, _) = self.rest.split_first_chunk::<ATTRIBUTE_BYTES>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(value) = self.rest.get(ATTRIBUTE_BYTES..length) else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind: u16::from_ne_bytes([header[2], header[3]]) & KIND_BITS, value })
    }
}

impl<'b> Attribute<'b> {
    /// One byte.
    pub fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    /// A 16-bit number in network order.
    pub fn u16_be(&self) -> Option<u16> {
        self.value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// A 32-bit number in network order.
    pub fn u32_be(&self) -> Option<u32> {
        self.value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A 64-bit number in network order.
    pub fn u64_be(&self) -> Option<u64> {
        self.value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A 32-bit number in the host's order.
    pub fn u32_ne(&self) -> Option<u32> {
        self.value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    }

    /// A text, up to its first NUL.
    pub fn text(&self) -> Option<&'b str> {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        str::from_utf8(self.value.get(..end)?).ok()
    }

    /// The attributes inside.
    pub fn nested(&self) -> Attributes<'b> {
        attributes(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut message = Message::netfilter(&mut bytes, 0x0405, 3, 77, 2, 9);
        message.put_str(1, "abc");
        let nest = message.nest(2);
        message.put_u32_be(3, 0x0102_0304);
        message.put_u8(4, 5);
        message.end(nest);
        message.finish().unwrap();
        Message::begin(&mut bytes, 20, 0, 78).finish().unwrap();
        bytes
    }

    #[test]
    fn what_is_built_reads_back() {
        let bytes = sample();
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.iter().map(|m| (m.kind, m.flags, m.sequence)).collect::<Vec<_>>(), [(0x0405, 3, 77), (20, 0, 78)]);
        let (family, resource, mut attributes) = all[0].netfilter().unwrap();
        assert_eq!((family, resource), (2, 9));
        assert_eq!(attributes.next().unwrap().text(), Some("abc"));
        let nest = attributes.next().unwrap();
        assert_eq!(nest.kind, 2);
        let inside: Vec<_> = nest.nested().collect();
        assert_eq!((inside[0].u32_be(), inside[1].u8()), (Some(0x0102_0304), Some(5)));
        assert!(attributes.next().is_none());
    }

    #[test]
    fn what_is_too_long_leaves_no_trace() {
        let mut bytes = sample();
        let before = bytes.clone();
        let mut message = Message::begin(&mut bytes, 1, 0, 1);
        message.put(1, &[0; 65_532]);
        assert_eq!(message.finish(), Err(TooLong));
        let mut message = Message::begin(&mut bytes, 1, 0, 1);
        let nest = message.nest(1);
        message.put(1, &[0; 65_000]);
        message.put(1, &[0; 600]);
        message.end(nest);
        assert_eq!(message.finish(), Err(TooLong));
        assert_eq!(bytes, before);
    }

    #[test]
    fn hostile_lengths_end_the_walk() {
        let good = sample();
        for at in 0..good.len() {
            for value in [0, 1, 3, 4, 0x7F, 0xFF] {
                let mut bad = good.clone();
                bad[at] = value;
                for cut in [bad.len(), at, at + 1] {
                    for message in messages(&bad[..cut]).take(100) {
                        message.ending();
                        let values = message.netfilter().into_iter().flat_map(|(_, _, attributes)| attributes);
                        assert!(values.flat_map(|attribute| attribute.nested()).count() <= good.len() / 4);
                    }
                }
            }
        }
    }

    #[test]
    fn errors_bring_the_kernels_words() {
        let mut bytes = Vec::new();
        let mut message = Message::begin(&mut bytes, libc::NLMSG_ERROR as u16, libc::NLM_F_ACK_TLVS as u16, 5);
        message.put_raw(&(-libc::ENOENT).to_ne_bytes());
        // The echoed request: a header and four bytes.
        message.put_raw(&20u32.to_ne_bytes());
        message.put_raw(&[0; 16]);
        message.put_str(ERROR_TEXT, "no such set");
        message.finish().unwrap();
        let ending = messages(&bytes).next().unwrap().ending();
        assert_eq!(ending, Some(Ending { errno: libc::ENOENT, message: Some("no such set") }));
        for impossible in [i32::MIN, 1, i32::MAX] {
            bytes[16..20].copy_from_slice(&impossible.to_ne_bytes());
            assert_eq!(messages(&bytes).next().unwrap().ending().unwrap().errno, libc::EPROTO);
        }
    }
}
