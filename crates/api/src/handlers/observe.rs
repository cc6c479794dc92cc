//! Statistics: the first page, Explore, packets, lookups, and the filter language's help.

use super::Reply;
use crate::backend::PacketQuery;
use crate::filter::{self, Completion, Field, Shape};
use crate::guard::Caller;
use crate::problem::{Code, Problem};
use crate::query::{Answer, Query as Checked, RawQuery, range};
use crate::routes::Door;
use crate::scope::Scope;
use crate::views::{FieldView, Known, NowView, PacketView, Page};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most packets in one answer.
const MAX_PACKETS: usize = 10_000;

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON document.
    #[default]
    Json,
    /// One JSON document per line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
}

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Form {
    /// `json`, `jsonl` or `csv`.
    pub format: Option<Format>,
}

/// A filter to check.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Typed {
    /// What was typed so far.
    #[serde(default)]
    pub text: String,
}

/// Whether a filter parses, and what could come next.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Checkup {
    /// Whether it can be used as it is.
    pub valid: bool,
    /// What is wrong, when it cannot.
    pub message: Option<String>,
    /// Character where reading stopped.
    pub offset: Option<usize>,
    /// What could come next.
    pub completions: Vec<Completion>,
}

/// What packets to return.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawPackets {
    /// Filter, such as `src = 192.0.2.1`.
    pub filter: Option<String>,
    /// Start; see `/api/v1/explore`.
    pub from: Option<String>,
    /// End.
    pub to: Option<String>,
    /// Packets to return, at most 10000; 100 when missing.
    pub take: Option<usize>,
    /// `json` or `jsonl`.
    pub format: Option<Format>,
}

/// A value to look up.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Address, prefix, port (`tcp/23`), country, AS number, hash, CVE or URL.
    pub value: String,
}

/// Figures of the first page.
#[utoipa::path(get, path = "/api/v1/now", responses((status = 200, body = NowView)))]
pub async fn now(State(door): State<Door>, Caller(who): Caller) -> Reply<Json<NowView>> {
    Ok(Json(door.backend.overview(&who.scope()).await?))
}

/// Fields to filter and group by.
#[utoipa::path(get, path = "/api/v1/fields", responses((status = 200, body = Vec<FieldView>)))]
pub async fn fields(Caller(who): Caller) -> Json<Vec<FieldView>> {
    let scope = who.scope();
    let visible = Field::ALL.iter().filter(|field| scope.sensor_addresses() || !field.shows_sensor());
    Json(visible.map(|field| view(*field)).collect())
}

fn view(field: Field) -> FieldView {
    let (shape, words) = match field.shape() {
        Shape::Number { .. } => ("number", field.aliases().iter().map(|(name, _)| (*name).to_owned()).collect()),
        Shape::Address => ("address", Vec::new()),
        Shape::Word(words) => ("word", words.iter().map(|word| (*word).to_owned()).collect()),
    };
    FieldView {
        name: field.name().into(),
        meaning: field.meaning().into(),
        shape: shape.into(),
        words,
        groups: field.groups(),
    }
}

/// Checks a filter and proposes what could come next.
#[utoipa::path(get, path = "/api/v1/filter", params(Typed), responses((status = 200, body = Checkup)))]
pub async fn check_filter(Caller(_who): Caller, Query(typed): Query<Typed>) -> Json<Checkup> {
    let error = filter::parse(&typed.text).err();
    let completions = if typed.text.len() > filter::MAX_TEXT { Vec::new() } else { filter::complete(&typed.text) };
    Json(Checkup {
        valid: error.is_none(),
        offset: error.as_ref().map(|error| error.offset),
        message: error.map(|error| error.message),
        completions,
    })
}

/// Statistics by any fields over any filter.
#[utoipa::path(get, path = "/api/v1/explore", params(RawQuery, Form),
    responses((status = 200, body = Answer), (status = 400, body = Problem)))]
pub async fn explore(
    State(door): State<Door>,
    Caller(who): Caller,
    Query(raw): Query<RawQuery>,
    Query(form): Query<Form>,
) -> Reply<Response> {
    let (scope, query) = (who.scope(), raw.check(door.backend.now())?);
    may_ask(&scope, &query.by, query.filter.as_ref())?;
    let answer = door.backend.explore(&scope, &query).await?;
    Ok(match form.format.unwrap_or_default() {
        Format::Json => Json(answer).into_response(),
        Format::Jsonl => lines(&answer.groups),
        Format::Csv => csv(&query, &answer),
    })
}

/// Destinations are sensors' addresses, and names tell who hosts them: those who may not see them may not test for them
/// either.
fn may_ask(scope: &Scope, by: &[Field], filter: Option<&filter::Expr>) -> Reply<()> {
    let asks = |field: &Field| by.contains(field) || filter.is_some_and(|filter| filter.mentions(*field));
    match Field::ALL.iter().find(|field| field.shows_sensor() && asks(field)) {
        Some(field) if !scope.sensor_addresses() => Err(Problem::new(
            Code::NotAllowed,
            format!("{} identifies sensors, which your role does not include.", field.name()),
        )),
        _ => Ok(()),
    }
}

fn lines<T: Serialize>(items: &[T]) -> Response {
    let mut text = String::new();
    for item in items {
        text.push_str(&serde_json::to_string(item).unwrap_or_default());
        text.push('\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response()
}

fn csv(query: &Checked, answer: &Answer) -> Response {
    let mut text = String::new();
    let names = query.by.iter().map(|field| field.name().to_owned());
    let figures = ["packets", "bytes", "sources", "destinations", "first", "last"].map(str::to_owned);
    push_row(&mut text, names.chain(figures));
    for group in &answer.groups {
        let counts = [group.packets, group.bytes, group.sources, group.destinations].map(|n| n.to_string());
        let times = [group.first.rfc3339(), group.last.rfc3339()];
        push_row(&mut text, group.key.iter().cloned().chain(counts).chain(times));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"noroshi-explore.csv\""),
    ];
    (headers, text).into_response()
}

fn push_row(text: &mut String, cells: impl Iterator<Item = String>) {
    let row: Vec<_> = cells.map(|cell| csv_cell(&cell)).collect();
    text.push_str(&row.join(","));
    text.push_str("\r\n");
}

/// A cell per RFC 4180. A leading sign that spreadsheets take for a formula gets an apostrophe before it.
fn csv_cell(value: &str) -> String {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if formula { format!("'{value}") } else { value.to_owned() };
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.contains([',', '"', '\'']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}

/// Single packets, newest first.
#[utoipa::path(get, path = "/api/v1/packets", params(RawPackets), responses((status = 200, body = Page<PacketView>)))]
pub async fn packets(State(door): State<Door>, Caller(who): Caller, Query(raw): Query<RawPackets>) -> Reply<Response> {
    let (from, to) = range(raw.from.as_deref(), raw.to.as_deref(), door.backend.now())?;
    let filter = filter::parse(raw.filter.as_deref().unwrap_or_default()).map_err(crate::query::QueryError::from)?;
    let query = PacketQuery { filter, from, to, take: raw.take.unwrap_or(100).clamp(1, MAX_PACKETS) };
    let page = door.backend.packets(&who.scope(), &query).await?;
    match raw.format.unwrap_or_default() {
        Format::Json => Ok(Json(page).into_response()),
        Format::Jsonl => Ok(lines(&page.items)),
        Format::Csv => Err(Problem::bad("format: packets come as json or jsonl")),
    }
}

/// Everything known about a value, verdict first.
#[utoipa::path(get, path = "/api/v1/lookup", params(Asked), responses((status = 200, body = Known)))]
pub async fn lookup(State(door): State<Door>, Caller(who): Caller, Query(asked): Query<Asked>) -> Reply<Json<Known>> {
    let value = asked.value.trim();
    if value.is_empty() || value.len() > 2048 {
        return Err(Problem::bad("value: 1 to 2048 bytes"));
    }
    Ok(Json(door.backend.lookup(&who.scope(), value).await?))
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(csv_cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(csv_cell("+1"), "\"'+1\"");
        assert_eq!(csv_cell("plain"), "plain");
        assert_eq!(csv_cell("a\r\nb"), "a  b");
    }
}
