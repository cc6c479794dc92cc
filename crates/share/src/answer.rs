//! The page behind a message's link: one incident, and what its reader says about it.
//!
//! It is shown to whoever holds a [`crate::ticket`], so it passes the gate like the message itself did, and tells no more
//! than that. Looking at it changes nothing, because programs that scan mails follow links; an answer is a form that is
//! sent. It needs no script.

use crate::catalogue;
use crate::document;
use crate::gate::Cleared;
use crate::outbox::Answer;
use crate::safe;
use crate::ticket::{Ticket, TicketError};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use noroshi_model::Nanos;
use noroshi_model::alert::Alert;
use noroshi_model::member::Language;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// What a member says about a warning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was so.
    True,
    /// It was not.
    False,
    /// It was so, and known before.
    AlreadyKnown,
    /// It is dealt with.
    Mitigated,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 4] = [Verdict::True, Verdict::False, Verdict::AlreadyKnown, Verdict::Mitigated];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::True => "true",
            Verdict::False => "false",
            Verdict::AlreadyKnown => "already-known",
            Verdict::Mitigated => "mitigated",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Verdict::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// The page's style sheet; whoever serves the page lets the browser apply exactly this text.
pub const STYLE: &str = ":root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0}\
main{max-width:44rem;margin:0 auto;padding:1rem}\
h1{font-size:1.4rem;border-left:.4rem solid #6baed6;padding-left:.6rem;overflow-wrap:anywhere}\
h1.medium{border-color:#fdae61}h1.high{border-color:#d7301f}h1.critical{border-color:#67000d}\
h2{font-size:1.1rem}\
th{text-align:left;font-weight:normal;opacity:.75;padding-right:1rem;vertical-align:top}td{overflow-wrap:anywhere}\
fieldset{border:1px solid;border-radius:.4rem;margin:1rem 0;padding:.6rem 1rem 1rem}\
label{display:block;padding:.35rem 0}\
button{font:inherit;padding:.5rem 1.4rem;margin-top:.6rem}\
.tlp{font-weight:bold}.soft{opacity:.75;font-size:.9rem}\
.said{border-left:.4rem solid #2ca25f;padding-left:.6rem}.problem{border-left:.4rem solid #d7301f;padding-left:.6rem}";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in [
        ("answer.html", include_str!("../templates/answer.html")),
        ("answer-refused.html", include_str!("../templates/answer-refused.html")),
    ] {
        // Both are rendered by tests: one that does not parse never ships.
        drop(environment.add_template(name, text));
    }
    environment
});

/// What is shown beside the incident.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What the reader's side said last.
    pub said: Option<Answer>,
    /// Why the answer just sent was not taken.
    pub problem: Option<Problem>,
}

/// Why an answer is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The time lies in the future.
    Future,
    /// Nothing, or nothing known, was chosen.
    Unclear,
}

/// The page of the incident that `ticket` is for; none when it is not in the alert.
pub fn page(
    alert: &Cleared<Alert>,
    member_name: &str,
    ticket: &Ticket,
    state: &State,
) -> Result<Option<String>, minijinja::Error> {
    let Some(one) = alert.only(&ticket.incident) else { return Ok(None) };
    let words = catalogue::of(one.language);
    let document = document::write(&one, member_name, None);
    let say = |verdict: Verdict| words.say(&format!("answer.{}", verdict.name().replace('-', "_")));
    let choices: Vec<_> =
        Verdict::ALL.iter().map(|verdict| context! { name => verdict.name(), text => say(*verdict) }).collect();
    let said = state.said.as_ref().map(|said| {
        let text = Verdict::named(&said.verdict).map(say).unwrap_or_default();
        words.fill("answer.said", &[("verdict", &text), ("at", &moment(said.since)), ("when", &moment(said.said_at))])
    });
    let problem = state.problem.map(|problem| match problem {
        Problem::Future => words.say("answer.future"),
        Problem::Unclear => words.say("answer.unclear"),
    });
    let page = context! {
        style => STYLE,
        document => minijinja::Value::from(minijinja::value::Serde(&document)),
        words => context! {
            for_member => safe::line(member_name),
            at => words.say("answer.at"),
            send => words.say("answer.send"),
            until => words.fill("answer.until", &[("until", &moment(ticket.expires))]),
        },
        choices, said, problem,
        chosen => state.said.as_ref().map(|said| said.verdict.clone()),
    };
    TEMPLATES.get_template("answer.html")?.render(page).map(Some)
}

/// The page for a ticket that opens nothing. Its reader's language is not known.
pub fn refused(why: TicketError) -> Result<String, minijinja::Error> {
    let key = match why {
        TicketError::Foreign => "answer.foreign",
        TicketError::Expired => "answer.expired",
    };
    let say = |language: &Language| context! { language => language.name(), text => catalogue::of(*language).say(key) };
    let texts: Vec<_> = Language::ALL.iter().map(say).collect();
    TEMPLATES.get_template("answer-refused.html")?.render(context! { style => STYLE, texts })
}

/// Whole minutes, in universal time.
fn moment(at: Nanos) -> String {
    let text = Nanos::from_seconds(at.seconds()).rfc3339();
    format!("{} UTC", text.replace('T', " ").get(..16).unwrap_or(&text))
}
