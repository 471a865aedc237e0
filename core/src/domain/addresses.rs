//! From which addresses a key may be used.
//!
//! Forms parse with it and admission asks it about the client's address.
//! It refuses names and lookups, and does not decide which header holds the client's address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::parse_error::ParseError;
use super::scope::quoted;

const MAX: usize = 100;

/// The networks a request may come from; an empty list means any address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct AllowList(Vec<IpNet>);

impl AllowList {
    /// Reads addresses and networks (`10.0.0.0/8`) separated by line ends, commas or spaces, and drops repetitions.
    /// Refuses more than 100, and names the entry that is wrong. Nothing written is any address.
    ///
    /// # Errors
    /// When an entry is neither an address nor the start of a network, or there are more than 100 different ones.
    pub fn parse_lines(text: &str) -> Result<AllowList, ParseError> {
        let mut nets = Vec::new();
        let separator = |c: char| c == ',' || c.is_whitespace();
        for entry in text.split(separator).filter(|entry| !entry.is_empty()) {
            let net = parse_entry(entry)?;
            if !nets.contains(&net) {
                nets.push(net);
            }
            if nets.len() > MAX {
                return Err(ParseError::new(
                    "There are more than 100 addresses. Put several into one network, such as 10.0.0.0/8.",
                ));
            }
        }
        Ok(AllowList(nets))
    }

    /// Whether a request from `address` may pass. An IPv4 address inside an IPv6 one counts as IPv4.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.is_any() || self.0.iter().any(|net| net.contains(&address))
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// One entry to a line, as a form shows them; reads back to the same list.
    pub fn lines(&self) -> String {
        self.entries().join("\n")
    }

    /// The entries as people write them: single addresses without a length.
    pub fn entries(&self) -> Vec<String> {
        let write = |net: &IpNet| if is_single(net) { net.addr().to_string() } else { net.to_string() };
        self.0.iter().map(write).collect()
    }

    /// Whether every address may pass.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<String>> for AllowList {
    type Error = ParseError;

    fn try_from(entries: Vec<String>) -> Result<AllowList, ParseError> {
        AllowList::parse_lines(&entries.join("\n"))
    }
}

impl From<AllowList> for Vec<String> {
    fn from(list: AllowList) -> Vec<String> {
        list.entries()
    }
}

fn parse_entry(entry: &str) -> Result<IpNet, ParseError> {
    let wrong = || {
        ParseError::new(format!(
            "\"{}\" is not an address or a network. Write it as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32.",
            quoted(entry)
        ))
    };
    let net = match entry.split_once('/') {
        None => IpNet::from(entry.parse::<IpAddr>().map_err(|_| wrong())?),
        Some((address, length)) => {
            let address: IpAddr = address.parse().map_err(|_| wrong())?;
            // The digits are checked because parse also takes a plus sign.
            let length = Some(length).filter(|length| length.bytes().all(|byte| byte.is_ascii_digit()));
            let length = length.and_then(|length| length.parse().ok()).ok_or_else(wrong)?;
            IpNet::new(address, length).map_err(|_| {
                let max = if address.is_ipv4() { 32 } else { 128 };
                ParseError::new(format!(
                    "\"{entry}\" has a length that is too large. Use 0 to {max} after the slash."
                ))
            })?
        }
    };
    if net.addr() != net.network() {
        return Err(ParseError::new(format!(
            "\"{entry}\" is not the start of its network. Write {} for the network, or {} for the one address.",
            net.trunc(),
            net.addr()
        )));
    }
    Ok(canonical(net))
}

/// IPv4 written inside IPv6 becomes plain IPv4, because the addresses it is compared with do too.
fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(length)) if matches!(net, IpNet::V6(_)) => {
            Ipv4Net::new(address, length).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

fn is_single(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn list(text: &str) -> AllowList {
        AllowList::parse_lines(text).unwrap()
    }

    fn rejection(text: &str) -> String {
        AllowList::parse_lines(text).unwrap_err().to_string()
    }

    fn allows(text: &str, address: &str) -> bool {
        list(text).allows(address.parse().unwrap())
    }

    #[test]
    fn an_empty_list_allows_any_address() {
        assert!(list(" \n, ").is_any());
        assert!(allows("", "203.0.113.7"));
        assert!(allows("", "2001:db8::1"));
    }

    #[test]
    fn an_address_passes_only_inside_a_network() {
        let text = "10.0.0.0/8, 203.0.113.7\n2001:db8::/32";
        for (address, passes) in [
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("203.0.113.7", true),
            ("203.0.113.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(allows(text, address), passes, "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_one_counts_as_ipv4() {
        assert!(allows("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(allows("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(allows("::ffff:10.1.2.3", "10.1.2.3"));
        assert!(!allows("::ffff:10.0.0.0/104", "11.1.2.3"));
        assert!(!allows("::/0", "10.1.2.3"));
        assert_eq!(list("::ffff:10.0.0.0/104").lines(), "10.0.0.0/8");
    }

    #[test]
    fn host_bits_are_refused_with_the_right_network() {
        assert_eq!(
            rejection("192.168.1.5/24"),
            "\"192.168.1.5/24\" is not the start of its network. Write 192.168.1.0/24 for the network, or 192.168.1.5 for the one address."
        );
        assert!(rejection("2001:db8::1/32").contains("Write 2001:db8::/32 for the network"));
    }

    #[test]
    fn the_wrong_entry_is_named() {
        for entry in [
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "example.com",
            "1.2.3.4:80",
            "[::1]",
            "010.0.0.1",
            "10.0.0.0/33",
            "::/129",
            "/8",
        ] {
            let problem = rejection(&format!("127.0.0.1 {entry} 10.0.0.1"));
            assert!(problem.starts_with(&format!("\"{entry}\" ")), "{problem}");
        }
        assert!(rejection("10.0.0.0/33").contains("0 to 32"));
    }

    #[test]
    fn repetitions_are_dropped_and_100_are_enough() {
        assert_eq!(list("10.0.0.1 10.0.0.1/32,10.0.0.1").entries(), ["10.0.0.1"]);
        let many = |n: u32| (0..n).map(|i| format!("{}\n", Ipv4Addr::from(i))).collect::<String>();
        assert_eq!(list(&many(100)).entries().len(), 100);
        assert!(AllowList::parse_lines(&many(101)).is_err());
    }

    proptest! {
        #[test]
        fn a_list_reads_back(entries in prop::collection::vec((any::<IpAddr>(), 0..=128_u8), 0..20)) {
            let nets = entries.into_iter().filter_map(|(address, length)| IpNet::new(address, length).ok());
            let text: Vec<String> = nets.map(|net| net.trunc().to_string()).collect();
            let read = list(&text.join("\n"));
            prop_assert_eq!(&list(&read.lines()), &read);
            prop_assert_eq!(AllowList::try_from(Vec::from(read.clone())), Ok(read));
        }

        #[test]
        fn an_address_alone_allows_itself(address: IpAddr) {
            prop_assert!(list(&address.to_string()).allows(address));
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = AllowList::parse_lines(&text);
        }
    }
}
