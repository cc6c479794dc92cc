//! Mail: text and HTML in the reader's language, structured headers, one stable Message-ID per message.
//!
//! A message is made from a [`Document`]; no foreign text reaches a header except through `lettre`'s encoder, and none
//! at all that holds a control character.

use crate::document::Document;
use crate::gate::Cleared;
use lettre::address::Address;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart, header::ContentType};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use noroshi_model::alert::Alert;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// Who sends, and under which domain messages are named.
#[derive(Clone, Debug)]
pub struct Sender {
    /// `Name <address>`.
    pub from: Mailbox,
    /// Right side of message ids and list ids.
    pub domain: String,
}

impl Sender {
    /// From `Name <name@example.org>`; messages are named under the address's domain.
    pub fn parse(text: &str) -> Result<Self, MailError> {
        let from: Mailbox =
            text.parse().map_err(|source| MailError::Address { address: crate::safe::line(text), source })?;
        let domain = from.email.domain().to_owned();
        Ok(Sender { from, domain })
    }
}

/// A mail that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// An address is not one.
    #[error("\"{address}\" is not a mail address: {source}")]
    Address {
        /// What was given.
        address: String,
        /// Why not.
        source: lettre::address::AddressError,
    },
    /// A template names something that does not exist.
    #[error("template {name}: {source}")]
    Template {
        /// Which one.
        name: &'static str,
        /// What is wrong and where.
        source: minijinja::Error,
    },
    /// The message does not fit together.
    #[error("the message cannot be built: {0}")]
    Build(#[from] lettre::error::Error),
    /// A header name or attachment type is malformed.
    #[error("{0} is not a valid content type")]
    ContentType(&'static str),
}

static TEMPLATES: LazyLock<Result<Environment<'static>, (&'static str, minijinja::Error)>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name {
        "mail.html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    for (name, text) in
        [("mail.txt", include_str!("../templates/mail.txt")), ("mail.html", include_str!("../templates/mail.html"))]
    {
        environment.add_template(name, text).map_err(|source| (name, source))?;
    }
    Ok(environment)
});

fn render(name: &'static str, document: &Document) -> Result<String, MailError> {
    let failed = |source| MailError::Template { name, source };
    let environment = TEMPLATES.as_ref().map_err(|(name, error)| MailError::Template {
        name,
        source: minijinja::Error::new(error.kind(), error.to_string()),
    })?;
    let template = environment.get_template(name).map_err(failed)?;
    // Colours that keep their order for colour-blind readers: light to dark.
    let colours =
        context! { info => "#9ecae1", low => "#6baed6", medium => "#fdae61", high => "#d7301f", critical => "#67000d" };
    let page = context! { colours => colours, ..minijinja::Value::from(minijinja::value::Serde(document)) };
    template.render(page).map_err(failed)
}

/// A header of our own.
#[derive(Clone)]
struct Plain(&'static str, String);

impl Header for Plain {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("X-Noroshi")
    }
    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Plain("X-Noroshi", text.to_owned()))
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(HeaderName::new_from_ascii_str(self.0), self.1.clone())
    }
}

/// Parses a mail address from configuration.
pub fn address(text: &str) -> Result<Address, MailError> {
    text.parse().map_err(|source| MailError::Address { address: crate::safe::line(text), source })
}

/// Incident ids that stand in a header; more would make it long without use.
const IDS_MAX: usize = 20;

/// The mail for an alert. `stix` is attached when given.
pub fn write(
    alert: &Cleared<Alert>,
    document: &Document,
    sender: &Sender,
    to: &[String],
    stix: Option<&str>,
) -> Result<Message, MailError> {
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(alert.created.seconds().max(0) as u64);
    let list = format!("<warnings.{}.{}>", alert.member, sender.domain);
    let mut builder = Message::builder()
        .from(sender.from.clone())
        .date(created)
        .message_id(Some(message_id(alert, &sender.domain)))
        .subject(document.subject.clone());
    for text in to {
        builder = builder.to(Mailbox::new(None, address(text)?));
    }
    let ids: Vec<&str> = alert.incidents.iter().take(IDS_MAX).map(|i| i.id.as_str()).collect();
    let headers = [
        ("List-Id", list),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("Content-Language", document.language.to_owned()),
        ("X-Noroshi-Alert", alert.id.clone()),
        ("X-Noroshi-Kind", alert.kind.to_string()),
        ("X-Noroshi-Severity", alert.severity.to_string()),
        ("X-Noroshi-Member", alert.member.to_string()),
        ("X-Noroshi-TLP", alert.tlp.label().to_owned()),
        ("X-Noroshi-Incidents", alert.incidents.len().to_string()),
        ("X-Noroshi-Incident-Ids", ids.join(" ")),
    ];
    // Ticket systems answer by program, about the worst incident.
    let answer = document.items.first().and_then(|item| item.api.clone()).map(|api| ("X-Noroshi-Answer", api));
    for (name, value) in headers.into_iter().chain(answer) {
        builder = builder.raw_header(Plain(name, value).display());
    }
    let text = render("mail.txt", document)?;
    let html = render("mail.html", document)?;
    let body = MultiPart::alternative().singlepart(SinglePart::plain(text)).singlepart(SinglePart::html(html));
    let message = match stix {
        None => builder.multipart(body)?,
        Some(bundle) => {
            const STIX: &str = "application/stix+json;version=2.1";
            let kind = ContentType::parse(STIX).map_err(|_| MailError::ContentType(STIX))?;
            let file = Attachment::new(format!("noroshi-{}.stix.json", alert.id)).body(bundle.to_owned(), kind);
            builder.multipart(MultiPart::mixed().multipart(body).singlepart(file))?
        }
    };
    Ok(message)
}

/// The same for every attempt, so that a mail sent twice after a crash is recognised as one (RFC 5322, section 3.6.4).
pub fn message_id(alert: &Alert, domain: &str) -> String {
    format!("<{}@{domain}>", alert.id)
}
