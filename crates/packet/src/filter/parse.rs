//! Words to a tree, after the grammar of pcap-filter(7).

use super::lex::{self, Token};
use super::{DEPTH_MAX, Families, FilterError, Join, Layer, Operation, Place, Primitive, Relation, Side, Step, Test};
use super::{Transports, Value, names};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
const IPV6: u16 = 0x86dd;
const PPPOE_DISCOVERY: u16 = 0x8863;

type Parsed<T> = Result<T, FilterError>;

/// What a bracket may hold: `(tcp)` or `(ip[0] & 15)`, which only its end tells apart.
enum Node {
    Test(Test),
    Value(Value),
    /// A number alone: a value, or the port or network of the qualifiers before.
    Number(usize, u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Host,
    Net,
    Port,
    Range,
    Proto,
    Chain,
}

/// What stands before a value, and holds for the next value after `or` too.
#[derive(Clone, Debug)]
struct Qualifiers {
    protocol: Option<String>,
    side: Side,
    kind: Kind,
}

struct Parser {
    words: Vec<(usize, Token)>,
    at: usize,
    place: Place,
    qualifiers: Option<Qualifiers>,
    depth: usize,
}

pub(super) fn parse(text: &str) -> Parsed<Test> {
    let mut parser = Parser { words: lex::words(text)?, at: 0, place: Place::default(), qualifiers: None, depth: 0 };
    let node = parser.expression()?;
    let test = parser.test(node)?;
    match parser.words.get(parser.at) {
        Some((at, _)) => Err(FilterError::Word(*at)),
        None => Ok(test),
    }
}

fn is_link(word: &str) -> bool {
    matches!(word, "ether" | "link" | "fddi" | "tr" | "wlan" | "ppp" | "slip")
}

/// Words that name a protocol when they stand alone.
fn is_protocol(word: &str) -> bool {
    let over_ip = matches!(
        word,
        "tcp" | "udp" | "sctp" | "icmp" | "icmp6" | "igmp" | "igrp" | "pim" | "vrrp" | "carp" | "ah" | "esp"
    );
    let over_llc = matches!(word, "iso" | "ipx" | "netbeui" | "atalk" | "aarp");
    over_ip || over_llc || is_link(word) || names::ethertype(word).is_some()
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.words.get(self.at).map(|(_, token)| token)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    /// The next word does not fit.
    fn misfit(&self) -> FilterError {
        self.words.get(self.at).map_or(FilterError::EndsEarly, |(at, _)| FilterError::Word(*at))
    }

    /// The word before does not fit.
    fn misfit_before(&mut self) -> FilterError {
        self.at = self.at.saturating_sub(1);
        self.misfit()
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FilterError::TooDeep);
        }
        let found = inner(self);
        self.depth -= 1;
        found
    }

    fn test(&mut self, node: Node) -> Parsed<Test> {
        match node {
            Node::Test(test) => Ok(test),
            Node::Number(at, number) if self.qualifiers.is_some() => self.with_qualifiers((at, Token::Number(number))),
            Node::Number(..) | Node::Value(_) if self.at == self.words.len() => Err(FilterError::EndsEarly),
            Node::Number(at, _) => Err(FilterError::Word(at)),
            Node::Value(_) => Err(self.misfit()),
        }
    }

    fn value(&mut self, node: Node) -> Parsed<Value> {
        match node {
            Node::Value(value) => Ok(value),
            Node::Number(_, number) => Ok(Value::Number(number)),
            Node::Test(_) => Err(self.misfit()),
        }
    }

    /// `and` and `or`, from left to right.
    fn expression(&mut self) -> Parsed<Node> {
        let first = self.negation()?;
        let mut later = Vec::new();
        let mut first = Some(first);
        let mut chain = None;
        loop {
            let join = if self.keyword("and") || self.sign("&&") {
                Join::And
            } else if self.keyword("or") || self.sign("||") {
                Join::Or
            } else {
                break;
            };
            if let Some(node) = first.take() {
                chain = Some(self.test(node)?);
            }
            let node = self.negation()?;
            later.push((join, self.test(node)?));
        }
        Ok(match (first, chain) {
            (_, Some(chain)) => Node::Test(Test::Chain(Box::new(chain), later)),
            (Some(node), None) => node,
            (None, None) => return Err(self.misfit()),
        })
    }

    fn negation(&mut self) -> Parsed<Node> {
        if self.keyword("not") || self.sign("!") {
            let inner = self.deeper(Self::negation)?;
            return Ok(Node::Test(Test::Not(Box::new(self.test(inner)?))));
        }
        let left = self.arithmetic(0)?;
        if matches!(left, Node::Test(_)) {
            return Ok(left);
        }
        let Some(relation) = self.relation() else { return Ok(left) };
        let left = self.value(left)?;
        let right = self.arithmetic(0)?;
        let right = self.value(right)?;
        Ok(Node::Test(Test::Compare(relation, Box::new(left), Box::new(right))))
    }

    fn relation(&mut self) -> Option<Relation> {
        let Some(Token::Sign(sign)) = self.peek() else { return None };
        let relation = match *sign {
            "=" | "==" => Relation::Equal,
            "!=" => Relation::NotEqual,
            "<" => Relation::Less,
            "<=" => Relation::LessOrEqual,
            ">" => Relation::Greater,
            ">=" => Relation::GreaterOrEqual,
            _ => return None,
        };
        self.at += 1;
        Some(relation)
    }

    fn operation(&self) -> Option<(Operation, u8)> {
        let Some(Token::Sign(sign)) = self.peek() else { return None };
        Some(match *sign {
            "|" => (Operation::Or, 1),
            "^" => (Operation::Xor, 1),
            "&" => (Operation::And, 2),
            "<<" => (Operation::Left, 3),
            ">>" => (Operation::Right, 3),
            "+" => (Operation::Add, 4),
            "-" => (Operation::Subtract, 4),
            "*" => (Operation::Multiply, 5),
            "/" => (Operation::Divide, 5),
            "%" => (Operation::Remainder, 5),
            _ => return None,
        })
    }

    fn arithmetic(&mut self, least: u8) -> Parsed<Node> {
        let mut left = self.factor()?;
        // Each operand makes the tree a level deeper on its left.
        let mut operands = 0;
        while let Some((operation, binding)) = self.operation().filter(|(_, binding)| *binding > least) {
            operands += 1;
            if matches!(left, Node::Test(_)) {
                break;
            }
            if operands > DEPTH_MAX {
                return Err(FilterError::TooDeep);
            }
            self.at += 1;
            let a = self.value(left)?;
            let b = self.deeper(|parser| parser.arithmetic(binding))?;
            let b = self.value(b)?;
            left = Node::Value(Value::Binary(operation, Box::new(a), Box::new(b)));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Parsed<Node> {
        if self.sign("-") {
            let inner = self.deeper(Self::factor)?;
            return Ok(Node::Value(Value::Negative(Box::new(self.value(inner)?))));
        }
        if self.sign("(") {
            let inner = self.deeper(Self::expression)?;
            return if self.sign(")") { Ok(inner) } else { Err(self.misfit()) };
        }
        let Some((at, token)) = self.words.get(self.at).cloned() else { return Err(FilterError::EndsEarly) };
        match token {
            Token::Number(number) => {
                self.at += 1;
                Ok(Node::Number(at, number))
            }
            Token::Word(word) => self.word(&word),
            Token::Sign(_) => Err(FilterError::Word(at)),
            value if self.qualifiers.is_some() => {
                self.at += 1;
                self.with_qualifiers((at, value)).map(Node::Test)
            }
            _ => Err(FilterError::Word(at)),
        }
    }

    fn word(&mut self, word: &str) -> Parsed<Node> {
        if matches!(word, "len" | "length") {
            self.at += 1;
            return Ok(Node::Value(Value::Length));
        }
        if let Some(number) = names::constant(word) {
            self.at += 1;
            return Ok(Node::Value(Value::Number(number)));
        }
        if matches!(self.words.get(self.at + 1), Some((_, Token::Sign("[")))) {
            return self.index(word).map(Node::Value);
        }
        self.primitive(word).map(Node::Test)
    }

    /// `tcp[2:2]`.
    fn index(&mut self, word: &str) -> Parsed<Value> {
        let layer = match word {
            link if is_link(link) => Layer::Link,
            "ip" => Layer::Network(IPV4),
            "ip6" => Layer::Network(IPV6),
            "arp" => Layer::Network(ARP),
            "rarp" => Layer::Network(RARP),
            "icmp6" => Layer::Over6(58),
            "tcp" | "udp" | "icmp" | "igmp" | "igrp" | "pim" | "vrrp" | "carp" | "sctp" => {
                Layer::Over4(names::protocol(word).unwrap_or_default())
            }
            "radio" => return Err(FilterError::NotHere("radio headers are not looked into")),
            _ => return Err(self.misfit()),
        };
        self.at += 2;
        let at = self.deeper(|parser| parser.arithmetic(0))?;
        let at = Box::new(self.value(at)?);
        let mut size = 1;
        if self.sign(":") {
            size = match self.peek() {
                Some(Token::Number(size @ (1 | 2 | 4))) => *size as u8,
                _ => return Err(self.misfit()),
            };
            self.at += 1;
        }
        if !self.sign("]") {
            return Err(self.misfit());
        }
        Ok(Value::Load { place: self.place.clone(), layer, at, size })
    }

    fn here(&self, primitive: Primitive) -> Test {
        Test::Packet(self.place.clone(), primitive)
    }

    fn optional_number(&mut self, max: u32) -> Parsed<Option<u32>> {
        let Some(Token::Number(number)) = self.peek().cloned() else { return Ok(None) };
        if number > max {
            return Err(self.misfit());
        }
        self.at += 1;
        Ok(Some(number))
    }

    /// A test by name, or a value with its qualifiers.
    fn primitive(&mut self, word: &str) -> Parsed<Test> {
        self.at += 1;
        let everyone = Primitive::Mac([0xff; 6], Side::Destination);
        match word {
            "less" | "greater" => {
                let Some(number) = self.optional_number(u32::MAX)? else { return Err(self.misfit()) };
                let relation = if word == "less" { Relation::LessOrEqual } else { Relation::GreaterOrEqual };
                return Ok(Test::Compare(relation, Box::new(Value::Length), Box::new(Value::Number(number))));
            }
            "broadcast" => return Ok(self.here(everyone)),
            "multicast" => return Ok(self.here(Primitive::EtherMulticast)),
            "llc" => return Ok(self.here(Primitive::Llc)),
            "pppoed" => return Ok(self.here(Primitive::EtherType(PPPOE_DISCOVERY))),
            "vlan" => {
                let id = self.optional_number(4_095)?.map(|id| id as u16);
                return Ok(self.step(Primitive::Vlan(id), Step::Vlan));
            }
            "mpls" => {
                let label = self.optional_number((1 << 20) - 1)?;
                return Ok(self.step(Primitive::Mpls(label), Step::Mpls));
            }
            "pppoes" => {
                let id = self.optional_number(0xffff)?.map(|id| id as u16);
                return Ok(self.step(Primitive::Pppoes(id), Step::Pppoe));
            }
            _ => {}
        }
        if let Some(why) = not_here(word) {
            return Err(FilterError::NotHere(why));
        }
        let protocol = is_protocol(word).then(|| word.to_owned());
        if protocol.is_none() {
            self.at -= 1;
        }
        if let Some(test) = protocol.as_deref().and_then(|protocol| self.calls_many(protocol)) {
            return test;
        }
        let side = self.side()?;
        let kind = self.kind();
        match (protocol, side, kind) {
            (Some(protocol), None, None) => self.protocol(&protocol),
            (None, None, None) => {
                // Not a word of the language: a name under the qualifiers before, such as `port http or https`.
                if self.qualifiers.is_none() || self.at >= self.words.len() {
                    return Err(self.misfit());
                }
                let token = self.words[self.at].clone();
                self.at += 1;
                self.with_qualifiers(token)
            }
            (protocol, side, kind) => {
                let kind = kind.unwrap_or(Kind::Host);
                self.qualifiers = Some(Qualifiers { protocol, side: side.unwrap_or(Side::Either), kind });
                if self.sign("(") {
                    let inner = self.deeper(Self::expression)?;
                    let test = self.test(inner)?;
                    return if self.sign(")") { Ok(test) } else { Err(self.misfit()) };
                }
                let Some(token) = self.words.get(self.at).cloned() else { return Err(FilterError::EndsEarly) };
                self.at += 1;
                self.with_qualifiers(token)
            }
        }
    }

    /// A test of an encapsulation, which later words look behind.
    fn step(&mut self, primitive: Primitive, step: Step) -> Test {
        let test = self.here(primitive);
        self.place.0.push(step);
        test
    }

    /// `ether broadcast`, `ip6 multicast`.
    fn calls_many(&mut self, protocol: &str) -> Option<Parsed<Test>> {
        let broadcast = self.keyword("broadcast");
        if !broadcast && !self.keyword("multicast") {
            return None;
        }
        Some(match (protocol, broadcast) {
            (link, true) if is_link(link) => Ok(self.here(Primitive::Mac([0xff; 6], Side::Destination))),
            (link, false) if is_link(link) => Ok(self.here(Primitive::EtherMulticast)),
            ("ip", true) => Err(FilterError::NotHere("a capture does not tell the netmask that makes a broadcast")),
            ("ip", false) => Ok(self.here(Primitive::IpMulticast)),
            ("ip6", false) => Ok(self.here(Primitive::Ip6Multicast)),
            _ => Err(self.misfit_before()),
        })
    }

    fn side(&mut self) -> Parsed<Option<Side>> {
        let (first, other) = if self.keyword("src") {
            (Side::Source, "dst")
        } else if self.keyword("dst") {
            (Side::Destination, "src")
        } else {
            return Ok(None);
        };
        let next_is = |parser: &Self, word: &str| matches!(parser.words.get(parser.at + 1), Some((_, Token::Word(found))) if found == word);
        let joined = match self.peek() {
            Some(Token::Word(join)) if join == "or" && next_is(self, other) => Side::Either,
            Some(Token::Word(join)) if join == "and" && next_is(self, other) => Side::Both,
            _ => return Ok(Some(first)),
        };
        self.at += 2;
        Ok(Some(joined))
    }

    fn kind(&mut self) -> Option<Kind> {
        let Some(Token::Word(word)) = self.peek() else { return None };
        let kind = match word.as_str() {
            "host" => Kind::Host,
            "net" => Kind::Net,
            "port" => Kind::Port,
            "portrange" => Kind::Range,
            "proto" => Kind::Proto,
            "protochain" => Kind::Chain,
            _ => return None,
        };
        self.at += 1;
        Some(kind)
    }

    /// A protocol's name alone.
    fn protocol(&mut self, name: &str) -> Parsed<Test> {
        let over = |v4, v6| Primitive::Protocol { number: names::protocol(name).unwrap_or_default(), v4, v6 };
        Ok(self.here(match name {
            "tcp" | "udp" | "sctp" | "pim" | "ah" | "esp" => over(true, true),
            "icmp" | "igmp" | "igrp" | "vrrp" | "carp" => over(true, false),
            "icmp6" => over(false, true),
            "ipx" => Primitive::Ipx,
            "atalk" => Primitive::AppleTalk(0x809b),
            "aarp" => Primitive::AppleTalk(0x80f3),
            "iso" => Primitive::Saps(0xfe),
            "netbeui" => Primitive::Saps(0xf0),
            _ => match names::ethertype(name) {
                Some(kind) => Primitive::EtherType(kind),
                None if self.at < self.words.len() => return Err(self.misfit()),
                None => return Err(FilterError::EndsEarly),
            },
        }))
    }

    /// A value under the qualifiers that stand before it, or before the last value.
    fn with_qualifiers(&mut self, (at, token): (usize, Token)) -> Parsed<Test> {
        let Some(qualifiers) = self.qualifiers.clone() else { return Err(FilterError::Word(at)) };
        let wrong = FilterError::Word(at);
        let protocol = qualifiers.protocol.as_deref();
        let primitive = match qualifiers.kind {
            Kind::Host | Kind::Net => self.address(at, token, &qualifiers)?,
            Kind::Port | Kind::Range => {
                let (low, high, registered) = ports(&token, qualifiers.kind).ok_or(wrong.clone())?;
                let mut transports = match protocol {
                    None => Transports { tcp: true, udp: true, sctp: true },
                    Some(name @ ("tcp" | "udp" | "sctp")) => {
                        Transports { tcp: name == "tcp", udp: name == "udp", sctp: name == "sctp" }
                    }
                    // `ip port 80` is no filter.
                    Some(_) => return Err(wrong),
                };
                if let (None, Some((tcp, udp))) = (protocol, registered) {
                    transports = Transports { tcp, udp, sctp: tcp && udp };
                }
                Primitive::Ports { low, high, side: qualifiers.side, transports }
            }
            Kind::Proto if protocol.is_some_and(is_link) => match token {
                Token::Number(number) => Primitive::EtherType(u16::try_from(number).map_err(|_| wrong)?),
                Token::Word(name) | Token::Escaped(name) => return self.protocol(&name).map_err(|_| wrong),
                _ => return Err(wrong),
            },
            Kind::Proto | Kind::Chain => {
                let number = match token {
                    Token::Number(number) => u8::try_from(number).ok(),
                    Token::Word(name) | Token::Escaped(name) => names::protocol(&name),
                    _ => None,
                };
                let number = number.ok_or(wrong.clone())?;
                let (v4, v6) = match protocol {
                    None => (true, true),
                    Some("ip") => (true, false),
                    Some("ip6") => (false, true),
                    Some(_) => return Err(wrong),
                };
                if qualifiers.kind == Kind::Chain {
                    Primitive::Chain { number, v4, v6 }
                } else {
                    Primitive::Protocol { number, v4, v6 }
                }
            }
        };
        Ok(self.here(primitive))
    }

    fn address(&mut self, at: usize, token: Token, qualifiers: &Qualifiers) -> Parsed<Primitive> {
        let wrong = Err(FilterError::Word(at));
        let (side, protocol) = (qualifiers.side, qualifiers.protocol.as_deref());
        let families = match protocol {
            None => Families { ip: true, arp: true, rarp: true },
            Some("ip") => Families { ip: true, ..Families::default() },
            Some("arp") => Families { arp: true, ..Families::default() },
            Some("rarp") => Families { rarp: true, ..Families::default() },
            Some("ip6") => Families::default(),
            Some(link) if is_link(link) => {
                return if let Token::Mac(mac) = token { Ok(Primitive::Mac(mac, side)) } else { wrong };
            }
            Some(_) => return wrong,
        };
        let bytes = match token {
            Token::Dotted(bytes) => bytes,
            Token::Number(number @ 0..=255) if qualifiers.kind == Kind::Net => vec![number as u8],
            Token::V6(address) if matches!(protocol, None | Some("ip6")) => {
                let length = self.prefix_length(128)?.unwrap_or(128);
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                return Ok(Primitive::Net6 { address: address & mask, mask, side });
            }
            Token::Word(_) => return Err(FilterError::NotHere("names are not looked up; write the address")),
            _ => return wrong,
        };
        if protocol == Some("ip6") || qualifiers.kind == Kind::Host && bytes.len() != 4 {
            return wrong;
        }
        let address = lex::v4(&bytes);
        let mask = if self.keyword("mask") {
            let Some(Token::Dotted(mask)) = self.peek().cloned() else { return Err(self.misfit()) };
            self.at += 1;
            lex::v4(&mask)
        } else {
            let length = self.prefix_length(32)?.unwrap_or(8 * bytes.len() as u32);
            u32::MAX.checked_shl(32 - length).unwrap_or(0)
        };
        Ok(Primitive::Net4 { address: address & mask, mask, side, families })
    }

    fn prefix_length(&mut self, max: u32) -> Parsed<Option<u32>> {
        if !self.sign("/") {
            return Ok(None);
        }
        match self.optional_number(max)? {
            Some(length) => Ok(Some(length)),
            None => Err(self.misfit()),
        }
    }
}

/// Registered for TCP, and for UDP.
type Registered = Option<(bool, bool)>;

fn ports(token: &Token, kind: Kind) -> Option<(u16, u16, Registered)> {
    let one = |text: &str| text.parse().ok().or_else(|| names::port(text).map(|(port, ..)| port));
    match (token, kind) {
        (Token::Number(number), _) => u16::try_from(*number).ok().map(|port| (port, port, None)),
        (Token::Word(name) | Token::Escaped(name), Kind::Port) => {
            names::port(name).map(|(port, tcp, udp)| (port, port, Some((tcp, udp))))
        }
        (Token::Word(range), _) => {
            let split = |at: usize| Some((one(&range[..at])?, one(&range[at + 1..])?, None));
            let found = range.match_indices('-').find_map(|(at, _)| split(at))?;
            Some(if found.0 > found.1 { (found.1, found.0, None) } else { found })
        }
        _ => None,
    }
}

/// Words that are understood, and ask for what a captured frame does not tell.
fn not_here(word: &str) -> Option<&'static str> {
    Some(match word {
        "inbound" | "outbound" => "a frame does not tell its direction",
        "ifname" | "on" | "rnr" | "rulenum" | "reason" | "rset" | "ruleset" | "srnr" | "subrulenum" | "action" => {
            "it asks for what only a packet filter knows"
        }
        "gateway" => "names are not looked up; write the addresses",
        "geneve" | "vxlan" | "lane" | "oam" | "metac" | "vpi" | "vci" => "this encapsulation is not looked into",
        "type" | "subtype" | "dir" | "addr1" | "addr2" | "addr3" | "addr4" | "ra" | "ta" => {
            "802.11 headers are not looked into"
        }
        _ => return None,
    })
}
