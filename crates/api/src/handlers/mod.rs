//! The handlers behind the routes, by what they serve, and the description of them all.

pub mod door;
pub mod findings;
pub mod live;
pub mod observe;
pub mod outlook;
pub mod people;
pub mod sensors;
pub mod sessions;
pub mod warning;

use crate::backend::{BackendError, Slice};
use crate::exchange;
use crate::problem::{Code, Problem};
use crate::query::QueryError;
use serde::Deserialize;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Noroshi",
        description = "Everything that the portal does, anyone with the right can do. Times are seconds since 1970 \
            with nine decimals, as text; parameters also take RFC 3339.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact()
    ),
    paths(
        door::openapi_json, door::about, door::welcome, door::login, door::csp_report, door::me, door::logout,
        people::tokens, people::make_token, people::revoke_token, people::list, people::invite, people::remove,
        people::audit, observe::now, live::live, observe::fields, observe::check_filter, observe::explore,
        observe::lookup, observe::packets, findings::attacks, findings::attack, findings::campaigns,
        findings::campaign, findings::campaign_cause, findings::scans, sensors::sensors, sensors::sensor, sensors::add, sensors::set_policy,
        sensors::preview, sensors::policies, sensors::roll_back, sensors::place, sensors::revoke,
        sensors::remove_sample, sessions::sessions, sessions::session, sessions::recording, sessions::session_cause, sessions::samples,
        outlook::surges, outlook::outlook, warning::warning, warning::messages, warning::try_rule, warning::members,
        door::offer_factor, door::confirm_factor, door::remove_factor, exchange::findings,
        exchange::feedback, exchange::precision, exchange::precursors, exchange::answer, exchange::answer_page,
        exchange::send_answer
    ),
    components(schemas(observe::Format, crate::query::Measure, crate::live::Tick, crate::live::LivePacket, live::Hello, live::Missed, Problem)),
    modifiers(&Security)
)]
struct Description;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
        let components = openapi.components.get_or_insert_with(Default::default);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let session = ApiKey::Cookie(ApiKeyValue::new("noroshi"));
        components.add_security_scheme("token", SecurityScheme::Http(token));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    }
}

/// The API's description, OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Items to skip.
    pub skip: Option<u32>,
    /// Items to return, at most 1000; 100 when missing.
    pub take: Option<u32>,
}

impl Paging {
    fn slice(self) -> Slice {
        Slice { skip: self.skip.unwrap_or(0) as usize, take: self.take.unwrap_or(100).clamp(1, 1000) as usize }
    }
}

impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::NotFound(what) => Problem::not_found(what),
            BackendError::NotAllowed(text) => Problem::new(Code::NotAllowed, text),
            BackendError::Refused(text) => Problem::bad(text),
            BackendError::Conflict(text) => Problem::new(Code::Conflict, text),
            BackendError::Gone(text) => Problem::new(Code::LinkSpent, text),
            BackendError::Busy { again_seconds } => {
                let text = "Too many questions at the moment; this one was not begun. Try again in a moment.";
                Problem { retry_after_seconds: Some(again_seconds), ..Problem::new(Code::Unavailable, text) }
            }
            BackendError::Unavailable { part, cause } => {
                tracing::error!(part, cause, "backend failed");
                Problem::new(Code::Unavailable, format!("{part} is unavailable. Try again, or ask the administrator."))
            }
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Filter(filter) => {
                let mut problem = Problem::new(Code::BadFilter, filter.message);
                problem.offset = Some(filter.offset);
                problem
            }
            QueryError::Parameter(text) => Problem::bad(text),
        }
    }
}

/// Result of a handler.
pub type Reply<T> = Result<T, Problem>;
