//! The portal's files: served from memory, with the headers that keep a page from running anything foreign.

use crate::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;

/// One file of the portal.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Content.
    pub bytes: Cow<'static, [u8]>,
    /// Media type.
    pub media_type: String,
    /// Changes when the content does.
    pub tag: String,
}

/// Where files come from: path without the leading slash to file.
pub type Assets = fn(&str) -> Option<Asset>;

/// Nothing runs or loads unless it comes from here as a file: no inline script or style, no frames, no foreign
/// connections, and no text becomes markup except through the framework's own policy.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html; \
    report-uri /api/v1/csp-report";

/// Answers a path that is no route: a file, or the page that finds its own way.
pub fn serve(assets: Assets, path: &str, headers: &HeaderMap) -> Response {
    let path = path.trim_start_matches('/');
    if path.starts_with("api/") || path == "api" {
        return Problem::not_found("such route").into_response();
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let found = match assets(path) {
        Some(asset) if !path.is_empty() => Some((asset, path.starts_with("assets/"))),
        _ if name.contains('.') && !path.starts_with("value/") => None,
        _ => assets("index.html").map(|asset| (asset, false)),
    };
    let Some((asset, fixed)) = found else { return (StatusCode::NOT_FOUND, "not found").into_response() };
    let tag = format!("\"{}\"", asset.tag);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|have| have.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    // Files below `assets/` carry a hash of their content in their name.
    let cache = if fixed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::new(Body::from(asset.bytes));
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    for (name, value) in [(header::CONTENT_TYPE, asset.media_type), (header::ETAG, tag)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            out.insert(name, value);
        }
    }
    response
}
