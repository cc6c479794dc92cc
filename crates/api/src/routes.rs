//! Every route, with the right it needs.
//!
//! The table below is the only way to a handler: a row without a right does not parse, and a handler without a row is
//! dead code. The matrix tests walk [`Route::ALL`].

use crate::assets::{self, Assets, CONTENT_SECURITY_POLICY};
use crate::backend::Backend;
use crate::exchange::{self, Exchange};
use crate::guard;
use crate::handlers as h;
use crate::people::People;
use crate::scope::Right;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, on};
use axum::{Router, response::Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

/// Largest request body, bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Longest time until an answer begins.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Viewers of the live feed at once.
pub const VIEWERS: usize = 500;

/// How the door is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether people reach it over https; cookies then carry the `__Host-` prefix and `Secure`.
    pub https: bool,
    /// Host names it answers to, without port; others are refused, so that a foreign name that was pointed here
    /// (DNS rebinding) reaches nothing.
    pub hosts: Vec<String>,
}

/// Names of the machine itself.
pub(crate) const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Default for Settings {
    fn default() -> Self {
        Settings { https: false, hosts: LOCAL.map(str::to_owned).to_vec() }
    }
}

/// What every handler can reach.
#[derive(Clone)]
pub struct Door {
    /// The house behind.
    pub backend: Arc<dyn Backend>,
    /// Accounts and sessions.
    pub people: Arc<People>,
    /// Set-up.
    pub settings: Arc<Settings>,
    /// What partners and members tell us; none when this house exchanges nothing.
    pub exchange: Option<Arc<dyn Exchange>>,
    pub(crate) viewers: Arc<Semaphore>,
    assets: Assets,
}

impl Door {
    /// A door to that house.
    pub fn new(backend: Arc<dyn Backend>, people: Arc<People>, settings: Settings, assets: Assets) -> Self {
        let viewers = Arc::new(Semaphore::new(VIEWERS));
        Door { backend, people, settings: Arc::new(settings), exchange: None, viewers, assets }
    }

    /// With an exchange behind it.
    pub fn with_exchange(self, exchange: Arc<dyn Exchange>) -> Self {
        Door { exchange: Some(exchange), ..self }
    }
}

macro_rules! routes {
    ($($item:ident = $method:ident $path:literal needs $right:ident => $handler:path;)*) => {
        /// A route: method, path, and the right it needs.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        pub enum Route { $($item,)* }
        impl Route {
            /// All routes.
            pub const ALL: &'static [Route] = &[$(Route::$item,)*];
            /// Its method.
            pub const fn method(self) -> Method { match self { $(Route::$item => Method::$method,)* } }
            /// Its path, with parameters in braces.
            pub const fn path(self) -> &'static str { match self { $(Route::$item => $path,)* } }
            /// What a caller needs.
            pub const fn right(self) -> Right { match self { $(Route::$item => Right::$right,)* } }
        }
        fn table(door: &Door) -> Router<Door> {
            Router::new()$(.route(
                $path,
                on(MethodFilter::$method, $handler)
                    .route_layer(from_fn_with_state((door.clone(), Route::$item.right()), guard::check)),
            ))*
        }
    };
}

routes! {
    Openapi = GET "/api/v1/openapi.json" needs Anyone => h::door::openapi_json;
    About = GET "/api/v1/about" needs Anyone => h::door::about;
    Welcome = POST "/api/v1/welcome" needs Anyone => h::door::welcome;
    Login = POST "/api/v1/login" needs Anyone => h::door::login;
    CspReport = POST "/api/v1/csp-report" needs Anyone => h::door::csp_report;
    Me = GET "/api/v1/me" needs SignedIn => h::door::me;
    Logout = POST "/api/v1/logout" needs SignedIn => h::door::logout;
    OfferFactor = POST "/api/v1/me/second-factor" needs SignedIn => h::door::offer_factor;
    ConfirmFactor = PUT "/api/v1/me/second-factor" needs SignedIn => h::door::confirm_factor;
    RemoveFactor = DELETE "/api/v1/me/second-factor" needs SignedIn => h::door::remove_factor;
    Tokens = GET "/api/v1/tokens" needs SignedIn => h::people::tokens;
    MakeToken = POST "/api/v1/tokens" needs SignedIn => h::people::make_token;
    RevokeToken = DELETE "/api/v1/tokens/{id}" needs SignedIn => h::people::revoke_token;
    Now = GET "/api/v1/now" needs Observe => h::observe::now;
    Live = GET "/api/v1/live" needs Observe => h::live::live;
    Fields = GET "/api/v1/fields" needs Observe => h::observe::fields;
    Complete = GET "/api/v1/filter" needs Observe => h::observe::check_filter;
    Explore = GET "/api/v1/explore" needs Observe => h::observe::explore;
    Lookup = GET "/api/v1/lookup" needs Observe => h::observe::lookup;
    Packets = GET "/api/v1/packets" needs Packets => h::observe::packets;
    Attacks = GET "/api/v1/attacks" needs Findings => h::findings::attacks;
    Attack = GET "/api/v1/attacks/{id}" needs Findings => h::findings::attack;
    Campaigns = GET "/api/v1/campaigns" needs Findings => h::findings::campaigns;
    Campaign = GET "/api/v1/campaigns/{id}" needs Findings => h::findings::campaign;
    CampaignCause = GET "/api/v1/campaigns/{id}/cause" needs Findings => h::findings::campaign_cause;
    Scans = GET "/api/v1/scans" needs Findings => h::findings::scans;
    Sensors = GET "/api/v1/sensors" needs Sensors => h::sensors::sensors;
    Sensor = GET "/api/v1/sensors/{name}" needs Sensors => h::sensors::sensor;
    AddSensor = POST "/api/v1/sensors" needs ManageSensors => h::sensors::add;
    SetPolicy = PUT "/api/v1/sensors/{name}/policy" needs ManageSensors => h::sensors::set_policy;
    Policies = GET "/api/v1/sensors/{name}/policies" needs Sensors => h::sensors::policies;
    RollBack = POST "/api/v1/sensors/{name}/roll-back" needs ManageSensors => h::sensors::roll_back;
    Place = PUT "/api/v1/sensors/{name}/place" needs ManageSensors => h::sensors::place;
    RevokeSensor = DELETE "/api/v1/sensors/{name}" needs ManageSensors => h::sensors::revoke;
    RemoveSample = DELETE "/api/v1/sample" needs ManageSensors => h::sensors::remove_sample;
    Sessions = GET "/api/v1/sessions" needs Packets => h::sessions::sessions;
    Session = GET "/api/v1/sessions/{id}" needs Packets => h::sessions::session;
    Recording = GET "/api/v1/sessions/{id}/recording" needs Packets => h::sessions::recording;
    SessionCause = GET "/api/v1/sessions/{id}/cause" needs Packets => h::sessions::session_cause;
    Samples = GET "/api/v1/samples" needs Packets => h::sessions::samples;
    Surges = GET "/api/v1/surges" needs Observe => h::outlook::surges;
    Outlook = GET "/api/v1/outlook" needs Observe => h::outlook::outlook;
    Warning = GET "/api/v1/warning" needs Warnings => h::warning::warning;
    Messages = GET "/api/v1/messages" needs Warnings => h::warning::messages;
    TryRule = POST "/api/v1/warning/preview" needs Warnings => h::warning::try_rule;
    Members = GET "/api/v1/members" needs Members => h::warning::members;
    PreviewPolicy = POST "/api/v1/sensors/{name}/preview" needs ManageSensors => h::sensors::preview;
    People = GET "/api/v1/people" needs ManagePeople => h::people::list;
    Invite = POST "/api/v1/people" needs ManagePeople => h::people::invite;
    RemovePerson = DELETE "/api/v1/people/{name}" needs ManagePeople => h::people::remove;
    Audit = GET "/api/v1/audit" needs Audit => h::people::audit;
    PushFindings = POST "/api/v1/findings" needs Findings => exchange::findings;
    IncidentFeedback = POST "/api/v1/incidents/{id}/feedback" needs Findings => exchange::feedback;
    RulePrecisions = GET "/api/v1/warnings/precision" needs Findings => exchange::precision;
    PrecursorScores = GET "/api/v1/warnings/precursors" needs Findings => exchange::precursors;
    AnswerByTicket = POST "/api/v1/answers/{ticket}" needs Anyone => exchange::answer;
    AnswerPage = GET "/answer/{ticket}" needs Anyone => exchange::answer_page;
    SendAnswer = POST "/answer/{ticket}" needs Anyone => exchange::send_answer;
}

async fn file(State(door): State<Door>, request: Request) -> Response {
    assets::serve(door.assets, request.uri().path(), request.headers())
}

/// The whole door, ready to serve.
pub fn router(door: Door) -> Router {
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    // A page without scripts may have a policy of its own.
    let default = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    table(&door)
        .merge(exchange::table(&door))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .fallback(file)
        .layer(from_fn_with_state(door.clone(), guard::known_host))
        .layer(from_fn(guard::plain_errors))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_WITHIN))
        .layer(CompressionLayer::new())
        .layer(default(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
        .layer(default(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .layer(fixed(HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"))
        .with_state(door)
}
