//! Errors as people and programs meet them: RFC 9457 problem details with a stable code.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused or failed. One list of codes, each mapped once to a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Not signed in, or the session ended.
    NotSignedIn,
    /// Signed in, but the right is missing.
    NotAllowed,
    /// Name, password or code is wrong.
    WrongCredentials,
    /// The password fits; a code of the second factor is missing.
    CodeNeeded,
    /// The one-time link is used, expired or was never made.
    LinkSpent,
    /// Too many tries; see `Retry-After`.
    TooManyTries,
    /// The request came from another site, or without its token.
    ForeignOrigin,
    /// A parameter or body does not fit; the text says which.
    BadRequest,
    /// The filter does not parse; `offset` says where.
    BadFilter,
    /// There is no such thing, or it may not be seen.
    NotFound,
    /// It exists already, or changed in between.
    Conflict,
    /// The answer would be too large or take too long.
    TooLarge,
    /// A part behind the API failed; try again.
    Unavailable,
}

impl Code {
    /// HTTP status of the code.
    pub const fn status(self) -> StatusCode {
        match self {
            Code::NotSignedIn | Code::WrongCredentials | Code::CodeNeeded => StatusCode::UNAUTHORIZED,
            Code::NotAllowed | Code::ForeignOrigin => StatusCode::FORBIDDEN,
            Code::LinkSpent => StatusCode::GONE,
            Code::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
            Code::BadRequest | Code::BadFilter => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Conflict => StatusCode::CONFLICT,
            Code::TooLarge => StatusCode::UNPROCESSABLE_ENTITY,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The body of every refusal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable code for programs.
    pub code: Code,
    /// What was attempted, on what, and what can be done.
    pub detail: String,
    /// HTTP status, repeated for logs.
    pub status: u16,
    /// Character in the filter where reading stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// Seconds until a new try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A problem with a text for a person.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem { code, detail: detail.into(), status: code.status().as_u16(), offset: None, retry_after_seconds: None }
    }

    /// A parameter or body that does not fit.
    pub fn bad(detail: impl Into<String>) -> Self {
        Problem::new(Code::BadRequest, detail)
    }

    /// Nothing there that this caller may see.
    pub fn not_found(what: &str) -> Self {
        Problem::new(Code::NotFound, format!("There is no {what} that you may see."))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let retry = self.retry_after_seconds;
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"noroshi\""));
        }
        response
    }
}
