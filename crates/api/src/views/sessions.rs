//! Dialogues with honeypots, and the files that were named or left in them.

use noroshi_model::Nanos;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One dialogue with a honeypot. Every text in it was chosen by a stranger.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Stable id.
    pub id: String,
    /// When the connection was made.
    #[schema(value_type = String)]
    pub ts: Nanos,
    /// Seconds until it ended.
    pub seconds: f64,
    /// Sensor name.
    pub sensor: String,
    /// Which honeypot kept it.
    pub origin: String,
    /// Who came.
    pub src: Option<String>,
    /// Country of the source, when known.
    pub country: Option<String>,
    /// Destination port.
    pub dport: Option<u16>,
    /// `telnet`, `ssh`, `http`, …
    pub protocol: String,
    /// What the client calls itself.
    pub client: Option<String>,
    /// Fingerprint of its handshake.
    pub fingerprint: Option<String>,
    /// Logins that were accepted.
    pub logins_accepted: u64,
    /// Logins that were refused.
    pub logins_refused: u64,
    /// `user:password`, in the order tried.
    pub credentials: Vec<String>,
    /// Lines that were typed.
    pub commands: Vec<String>,
    /// Places that the client named to fetch from.
    pub urls: Vec<String>,
    /// SHA-256 of files that were left or fetched.
    pub hashes: Vec<String>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// A limit was reached; the rest is missing.
    pub truncated: bool,
}

/// One step of a dialogue.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Seconds since the connection was made.
    pub at: f64,
    /// What happened: `login`, `command`, `download`, …
    pub kind: String,
    /// What came from the client.
    pub input: Option<String>,
    /// What it was answered.
    pub output: Option<String>,
    /// Whatever else the honeypot noted.
    pub more: Vec<String>,
}

/// A dialogue with all its steps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionDetail {
    /// In short.
    pub session: SessionView,
    /// In order.
    pub steps: Vec<Step>,
}

/// A file that was seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SampleView {
    /// SHA-256.
    pub hash: String,
    /// Family, when one is known.
    pub family: Option<String>,
    /// Sessions that it was seen in.
    pub sessions: u64,
    /// Distinct sources that brought it.
    pub sources: u64,
    /// First seen.
    #[schema(value_type = String)]
    pub first: Nanos,
    /// Last seen.
    #[schema(value_type = String)]
    pub last: Nanos,
    /// Places that were named in the same sessions, at most five.
    pub urls: Vec<String>,
}

/// The steps as a honeypot wrote them: a JSON array of objects with `t` (seconds) and `k` (kind). Unknown members become
/// text, so that nothing that was noted is lost; at most `most` steps.
pub fn read_steps(json: &str, most: usize) -> Vec<Step> {
    let all: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(json).unwrap_or_default();
    all.into_iter().take(most).map(read_step).collect()
}

fn read_step(mut fields: serde_json::Map<String, serde_json::Value>) -> Step {
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let at = fields.remove("t").and_then(|value| value.as_f64()).unwrap_or(0.0);
    let kind = fields.remove("k").map(text).unwrap_or_default();
    let mut take = |names: &[&str]| names.iter().find_map(|name| fields.remove(*name)).map(text);
    let login = take(&["username"]).map(|user| (user, take(&["password"]).unwrap_or_default()));
    let input = login.map(|(user, password)| format!("{user} / {password}")).or_else(|| take(&["command", "url"]));
    let output = take(&["answer", "output"]);
    let more = fields.into_iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
    Step { at, kind, input, output, more }
}

/// The dialogue in asciicast version 2, for players of terminal recordings.
pub fn asciicast(detail: &SessionDetail) -> String {
    let stamp = detail.session.ts.seconds();
    let mut text = serde_json::json!({"version": 2, "width": 80, "height": 24, "timestamp": stamp}).to_string();
    text.push('\n');
    for step in &detail.steps {
        let parts = [(&step.input, "i", "\r\n"), (&step.input, "o", "\r\n"), (&step.output, "o", "")];
        for (piece, kind, end) in parts {
            let Some(piece) = piece else { continue };
            let line = serde_json::json!([step.at, kind, format!("{}{end}", piece.replace('\n', "\r\n"))]);
            text.push_str(&line.to_string());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lose_nothing_and_bad_json_is_no_step() {
        let steps = read_steps(r#"[{"t":1.5,"k":"command","command":"ls","code":0},{"t":2}]"#, 10);
        assert_eq!(steps[0].input.as_deref(), Some("ls"));
        assert_eq!(steps[0].more, ["code: 0"]);
        assert_eq!((steps.len(), steps[1].at), (2, 2.0));
        assert!(read_steps("{", 10).is_empty() && read_steps("[1]", 10).is_empty());
    }

    #[test]
    fn recordings_are_one_header_and_one_line_per_piece() {
        let step = Step { at: 0.5, kind: "command".into(), input: Some("id".into()), ..Step::default() };
        let cast = asciicast(&SessionDetail { session: SessionView::default(), steps: vec![step] });
        let lines: Vec<serde_json::Value> = cast.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["version"], 2);
        assert_eq!(lines[1], serde_json::json!([0.5, "i", "id\r\n"]));
        assert_eq!(lines.len(), 3);
    }
}
