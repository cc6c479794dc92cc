//! Commands that pass text on: escapes, `cat`, `head`, `grep` and their kin.

use super::run::Output;
use super::{Shell, from_bytes, to_bytes};
use crate::iot::files::absolute;
use sha2::{Digest, Sha256};

/// Backslash escapes of `echo -e` and `printf`; false when `\c` ends the text.
pub(super) fn escapes(text: &str) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        rest = &rest[c.len_utf8()..];
        match c {
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'e' => out.push('\x1b'),
            'f' => out.push('\x0c'),
            'v' => out.push('\x0b'),
            '\\' => out.push('\\'),
            'c' => return (out, false),
            'x' => {
                let digits = digits(rest, 2, 16);
                match u8::from_str_radix(&rest[..digits], 16) {
                    Ok(byte) => out.push(byte as char),
                    Err(_) => out.push_str("\\x"),
                }
                rest = &rest[digits..];
            }
            '0'..='7' => {
                let whole = if c == '0' { rest.to_owned() } else { format!("{c}{rest}") };
                let length = digits(&whole, 3, 8);
                let value = u32::from_str_radix(&whole[..length], 8).unwrap_or(0) as u8;
                out.push(value as char);
                rest = &rest[if c == '0' { length } else { length - 1 }..];
            }
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out.push_str(rest);
    (out, true)
}

fn digits(text: &str, most: usize, radix: u32) -> usize {
    text.bytes().take(most).take_while(|byte| (*byte as char).is_digit(radix)).count()
}

/// `printf` with `%s`, `%d`, `%c`, `%x` and escapes.
pub(super) fn printf(args: &[&str]) -> String {
    let Some((format, values)) = args.split_first() else { return String::new() };
    let (format, _) = escapes(format);
    let mut values = values.iter();
    let mut out = String::new();
    let mut parts = format.split('%');
    out.push_str(parts.next().unwrap_or_default());
    let mut literal = false;
    for part in parts {
        if literal {
            out.push_str(part);
            literal = false;
            continue;
        }
        match part.chars().next() {
            Some('s' | 'd' | 'c' | 'x' | 'b') => {
                out.push_str(values.next().copied().unwrap_or_default());
                out.push_str(&part[1..]);
            }
            None => {
                out.push('%');
                literal = true;
            }
            Some(_) => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}

impl Shell {
    /// Files named in the arguments, joined; the input when there are none.
    fn inputs(&mut self, name: &str, args: &[&str], input: &str) -> Result<String, Output> {
        let files: Vec<&&str> = args.iter().filter(|arg| !arg.starts_with('-') || **arg == "-").collect();
        if files.is_empty() {
            return Ok(input.to_owned());
        }
        let (mut text, mut missing) = (String::new(), String::new());
        for file in files {
            match self.files.read(&absolute(&self.cwd, file)) {
                Some(content) => text.push_str(&from_bytes(&content)),
                None => missing.push_str(&format!("{name}: can't open '{file}': No such file or directory\n")),
            }
            if text.len() > super::OUTPUT {
                break;
            }
        }
        if text.is_empty() && !missing.is_empty() { Err(self.fail(Output::err(missing))) } else { Ok(text) }
    }

    /// Filters; those that are not emulated pass their input on.
    pub(super) fn filter(&mut self, name: &str, args: &[&str], input: &str) -> Output {
        match name {
            "dd" => return self.dd(args, input),
            "grep" | "egrep" => return self.grep(args, input),
            "head" | "tail" | "cut" => return self.cut(name, args, input),
            "tee" => {
                for file in args.iter().filter(|arg| !arg.starts_with('-')) {
                    let path = absolute(&self.cwd, file);
                    self.files.write(&path, &to_bytes(input), args.contains(&"-a"));
                }
                return Output::out(input);
            }
            "sed" | "awk" | "tr" => return Output::out(input),
            _ => {}
        }
        let text = match self.inputs(name, args, input) {
            Ok(text) => text,
            Err(output) => return output,
        };
        Output::out(match name {
            "wc" => {
                let (lines, words) = (text.matches('\n').count(), text.split_ascii_whitespace().count());
                if args.contains(&"-l") {
                    format!("{lines}\n")
                } else {
                    format!("{lines:>9} {words:>9} {:>9}\n", text.chars().count())
                }
            }
            "sort" => {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                lines.into_iter().map(|line| format!("{line}\n")).collect()
            }
            "uniq" => {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.dedup();
                lines.into_iter().map(|line| format!("{line}\n")).collect()
            }
            "sha256sum" => {
                let hex: String = Sha256::digest(to_bytes(&text)).iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{hex}  {}\n", args.first().unwrap_or(&"-"))
            }
            _ => text,
        })
    }

    fn grep(&mut self, args: &[&str], input: &str) -> Output {
        let mut words = args.iter().filter(|arg| !arg.starts_with('-'));
        let wanted = words.next().map_or("", |word| word.trim_matches(['^', '$']));
        let rest: Vec<&str> = words.copied().collect();
        let (invert, ignore) = (args.iter().any(|arg| arg.starts_with('-') && arg.contains('v')), args.contains(&"-i"));
        let text = match self.inputs("grep", &rest, input) {
            Ok(text) => text,
            Err(output) => return output,
        };
        let fold = |text: &str| if ignore { text.to_lowercase() } else { text.to_owned() };
        let wanted: Vec<String> = wanted.split("\\|").flat_map(|part| part.split('|')).map(fold).collect();
        let hits: Vec<&str> =
            text.lines().filter(|line| wanted.iter().any(|part| fold(line).contains(part)) != invert).collect();
        self.status = u8::from(hits.is_empty());
        if args.contains(&"-c") {
            return Output::out(format!("{}\n", hits.len()));
        }
        if args.contains(&"-q") {
            return Output::default();
        }
        Output::out(hits.into_iter().map(|line| format!("{line}\n")).collect::<String>())
    }

    fn cut(&mut self, name: &str, args: &[&str], input: &str) -> Output {
        let value = |flag: &str| {
            let at = args.iter().position(|arg| arg.starts_with(flag))?;
            let joined = &args[at][flag.len()..];
            if joined.is_empty() { args.get(at + 1).map(|next| (*next, at + 1)) } else { Some((joined, at)) }
        };
        let (lines, bytes) = (value("-n"), value("-c"));
        let used: Vec<usize> =
            [lines, bytes, value("-d"), value("-f")].into_iter().flatten().map(|(_, at)| at).collect();
        let rest: Vec<&str> =
            args.iter().enumerate().filter(|(at, _)| !used.contains(at)).map(|(_, arg)| *arg).collect();
        let text = match self.inputs(name, &rest, input) {
            Ok(text) => text,
            Err(output) => return output,
        };
        if name == "cut" {
            let delimiter = value("-d").and_then(|(text, _)| text.chars().next()).unwrap_or('\t');
            let field = value("-f").and_then(|(text, _)| text.parse::<usize>().ok()).unwrap_or(1).max(1);
            return Output::out(
                text.lines()
                    .map(|line| format!("{}\n", line.split(delimiter).nth(field - 1).unwrap_or(line)))
                    .collect::<String>(),
            );
        }
        let short = args.iter().find_map(|arg| arg.strip_prefix('-')?.parse::<usize>().ok());
        let number = |found: Option<(&str, usize)>| {
            found.and_then(|(text, _)| text.trim_start_matches('+').parse::<usize>().ok())
        };
        if let Some(count) = number(bytes) {
            let all: Vec<char> = text.chars().collect();
            let part =
                if name == "head" { &all[..count.min(all.len())] } else { &all[all.len() - count.min(all.len())..] };
            return Output::out(part.iter().collect::<String>());
        }
        let count = number(lines).or(short).unwrap_or(10);
        let all: Vec<&str> = text.lines().collect();
        let part = if name == "head" { &all[..count.min(all.len())] } else { &all[all.len() - count.min(all.len())..] };
        Output::out(part.iter().map(|line| format!("{line}\n")).collect::<String>())
    }

    /// `dd if= of= bs= count= skip=`: how bots read the first bytes of a program.
    fn dd(&mut self, args: &[&str], input: &str) -> Output {
        let value = |key: &str| args.iter().find_map(|arg| arg.strip_prefix(key)?.strip_prefix('='));
        let number = |key: &str, default: usize| {
            value(key).and_then(|text| text.trim_end_matches('k').parse().ok()).unwrap_or(default)
        };
        let content = match value("if") {
            Some(file) => match self.files.read(&absolute(&self.cwd, file)) {
                Some(content) => content.as_ref().clone(),
                None => return self.fail(Output::err(format!("dd: can't open '{file}': No such file or directory\n"))),
            },
            None => to_bytes(input),
        };
        let block = number("bs", 512).clamp(1, 1 << 20);
        let start = number("skip", 0).saturating_mul(block).min(content.len());
        let end = start.saturating_add(number("count", usize::MAX).saturating_mul(block)).min(content.len());
        let part = &content[start..end];
        let (whole, rest) = (part.len() / block, usize::from(part.len() % block > 0));
        let report = format!("{whole}+{rest} records in\n{whole}+{rest} records out\n");
        if let Some(file) = value("of") {
            let path = absolute(&self.cwd, file);
            self.files.write(&path, part, false);
            return Output::err(report);
        }
        Output { out: from_bytes(part), err: report }
    }
}
