//! Accounts, one-time links, sessions and API tokens.
//!
//! No account has a default password: the first administrator is made through a link that works once and for an hour.
//! Every secret is 256 random bits, shown once and stored as a hash. Every change is in the audit log before it happens.

mod audit;
mod limits;
mod records;
mod secret;
mod sqlite;
mod totp;

pub use audit::{Audit, AuditEntry, first_broken};
pub use limits::{PER_ACCOUNT, PER_SOURCE, WINDOW_SECONDS};
pub use records::{MemoryRecords, Records, RecordsError, Table};
pub use secret::{MAX_PASSWORD, MIN_PASSWORD, same};
pub use sqlite::SqliteRecords;

use crate::scope::{Principal, Right, Role, Via};
use limits::Limits;
use noroshi_model::time::SECOND;
use noroshi_model::{Nanos, Prefix};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;
use utoipa::ToSchema;

/// How long a one-time link works, seconds.
pub const LINK_SECONDS: i64 = 3600;
/// How long a session lasts, seconds.
pub const SESSION_SECONDS: i64 = 12 * 3600;
/// Longest life of an API token, days.
pub const MAX_TOKEN_DAYS: u32 = 366;

/// Why somebody was not let in, or something was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Name or password is wrong; which one is not told.
    #[error("The name or the password is wrong.")]
    WrongCredentials,
    /// The password fits, and the account has a second factor.
    #[error("Enter the six digits that your authenticator shows.")]
    CodeNeeded,
    /// Too many failures.
    #[error("Too many failed tries. Wait {0} seconds and try again.")]
    Wait(u64),
    /// The link was used, expired, or never made.
    #[error("This link was used already, or it expired. Make a new one where the hub runs.")]
    LinkSpent,
    /// The name or password does not fit the rules.
    #[error("{0}")]
    Refused(String),
    /// There is such an account already.
    #[error("There is an account \"{0}\" already.")]
    Exists(String),
    /// There is none.
    #[error("There is no account or token \"{0}\".")]
    Missing(String),
    /// The records failed; nothing was changed.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

#[derive(Clone, Serialize, Deserialize)]
struct Account {
    role: Role,
    organisation: String,
    prefixes: Vec<Prefix>,
    password: Option<String>,
    #[serde(default)]
    factor: Option<Factor>,
}

/// A second factor. Until its owner has shown a code it is not asked for.
#[derive(Clone, Serialize, Deserialize)]
struct Factor {
    secret: Vec<u8>,
    confirmed: bool,
    /// Step of the newest code that was used.
    used: i64,
}

#[derive(Serialize, Deserialize)]
struct Link {
    /// Account that the link opens; none for the first administrator, who chooses a name.
    account: Option<String>,
    expires: Nanos,
}

#[derive(Serialize, Deserialize)]
struct Session {
    account: String,
    csrf: String,
    expires: Nanos,
}

#[derive(Serialize, Deserialize)]
struct Token {
    id: String,
    account: String,
    label: String,
    rights: Vec<Right>,
    expires: Nanos,
}

/// A person, for lists.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// Account name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Organisation.
    pub organisation: String,
    /// Prefixes of the organisation.
    pub prefixes: Vec<String>,
    /// Whether the invitation was taken up.
    pub active: bool,
    /// Whether signing in needs a second factor.
    pub second_factor: bool,
}

/// A token, for lists. The secret is shown once, when it is made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Id, for revoking. It is no credential.
    pub id: String,
    /// Account it acts for.
    pub account: String,
    /// What it is for.
    pub label: String,
    /// What it may do, at most.
    pub rights: Vec<Right>,
    /// Until when it works.
    #[schema(value_type = String)]
    pub expires: Nanos,
}

/// What somebody shows to be let in.
#[derive(Clone, Copy)]
pub struct Secrets<'a> {
    /// Password.
    pub password: &'a str,
    /// Code of the second factor; empty without one.
    pub code: &'a str,
}

/// A session that was just opened.
#[derive(Debug)]
pub struct Opened {
    /// Secret for the cookie.
    pub cookie: String,
    /// Who.
    pub principal: Principal,
}

/// Accounts, links, sessions, tokens and the log of what was done with them.
pub struct People {
    records: Arc<dyn Records>,
    /// The log.
    pub audit: Audit,
    limits: Limits,
    factors: tokio::sync::Mutex<()>,
}

impl People {
    /// People in these records.
    pub fn new(records: Arc<dyn Records>) -> Self {
        People { audit: Audit::new(records.clone()), records, limits: Limits::default(), factors: Default::default() }
    }

    /// Whether nobody has an account yet.
    pub async fn setup_needed(&self) -> Result<bool, PeopleError> {
        Ok(self.records.count(Table::Accounts).await? == 0)
    }

    /// Makes the one-time secret for the first administrator, or for an account that was invited.
    pub async fn make_link(&self, now: Nanos, account: Option<&str>) -> Result<String, PeopleError> {
        let secret = secret::random("nl_");
        let link = Link { account: account.map(str::to_owned), expires: after(now, LINK_SECONDS) };
        self.audit.append(now, "hub", "make-link", account.unwrap_or("first administrator")).await?;
        self.write(Table::Links, &secret::hash(&secret), &link).await?;
        Ok(secret)
    }

    /// Uses a one-time link: makes the first administrator, or gives an invited account its password.
    pub async fn welcome(&self, now: Nanos, link: &str, name: &str, password: &str) -> Result<Opened, PeopleError> {
        check_password(name, password)?;
        let key = secret::hash(link);
        let found: Link = self.read(Table::Links, &key).await?.ok_or(PeopleError::LinkSpent)?;
        if found.expires <= now {
            return Err(PeopleError::LinkSpent);
        }
        let name = found.account.clone().unwrap_or_else(|| name.to_owned());
        check_name(&name)?;
        if found.account.is_none() && !self.setup_needed().await? {
            return Err(PeopleError::LinkSpent);
        }
        let hashed = secret::hash_password(password.to_owned()).await;
        let hashed = hashed.ok_or_else(|| RecordsError("the password could not be hashed".into()))?;
        self.audit.append(now, &name, "use-link", "portal").await?;
        // From here on exactly one of several callers goes on.
        self.records.take(Table::Links, &key).await?.ok_or(PeopleError::LinkSpent)?;
        let account = match &found.account {
            None => Account {
                role: Role::Administrator,
                organisation: "hub".into(),
                prefixes: Vec::new(),
                password: Some(hashed),
                factor: None,
            },
            Some(invited) => {
                let account: Option<Account> = self.read(Table::Accounts, invited).await?;
                Account { password: Some(hashed), ..account.ok_or(PeopleError::LinkSpent)? }
            }
        };
        self.write(Table::Accounts, &name, &account).await?;
        self.open(now, &name, account).await
    }

    /// Signs in with a password and, where the account has a second factor, its code.
    pub async fn login(
        &self,
        now: Nanos,
        source: &str,
        name: &str,
        secrets: Secrets<'_>,
    ) -> Result<Opened, PeopleError> {
        if let Some(seconds) = self.limits.wait(now, name, source) {
            return Err(PeopleError::Wait(seconds));
        }
        if secrets.password.len() > MAX_PASSWORD || name.len() > 64 {
            return Err(PeopleError::WrongCredentials);
        }
        let account: Option<Account> = self.read(Table::Accounts, name).await?;
        let stored = account.as_ref().and_then(|account| account.password.clone());
        let fits = secret::verify_password(secrets.password.to_owned(), stored).await;
        let Some(mut account) = account.filter(|_| fits) else {
            self.limits.failed(now, name, source);
            self.audit.append(now, source, "login-failed", name).await?;
            return Err(PeopleError::WrongCredentials);
        };
        // One at a time and read anew, so that of two callers with the same code one comes in.
        let _turn = self.factors.lock().await;
        if let Some(fresh) = self.read::<Account>(Table::Accounts, name).await? {
            account = fresh;
        }
        if let Some(factor) = account.factor.as_mut().filter(|factor| factor.confirmed) {
            if secrets.code.is_empty() {
                return Err(PeopleError::CodeNeeded);
            }
            let Some(step) = totp::step_of(&factor.secret, secrets.code, now, factor.used) else {
                self.limits.failed(now, name, source);
                self.audit.append(now, source, "login-code-failed", name).await?;
                return Err(PeopleError::WrongCredentials);
            };
            factor.used = step;
            self.write(Table::Accounts, name, &account).await?;
        }
        self.limits.succeeded(name);
        self.audit.append(now, name, "login", source).await?;
        self.open(now, name, account).await
    }

    /// Whether signing in to that account needs a second factor.
    pub async fn has_factor(&self, name: &str) -> Result<bool, PeopleError> {
        let account: Option<Account> = self.read(Table::Accounts, name).await?;
        Ok(account.and_then(|account| account.factor).is_some_and(|factor| factor.confirmed))
    }

    /// Makes a second factor and returns what an authenticator app reads. It counts once a code of it was shown.
    pub async fn offer_factor(&self, now: Nanos, name: &str) -> Result<String, PeopleError> {
        let mut account = self.account(name).await?;
        if account.factor.as_ref().is_some_and(|factor| factor.confirmed) {
            return Err(PeopleError::Exists("second factor".into()));
        }
        let secret = totp::secret();
        self.audit.append(now, name, "offer-second-factor", name).await?;
        account.factor = Some(Factor { secret: secret.clone(), confirmed: false, used: 0 });
        self.write(Table::Accounts, name, &account).await?;
        Ok(totp::uri(name, &secret))
    }

    /// Takes the first code of an offered factor (`keep`), or gives a factor up with a code of it.
    pub async fn settle_factor(&self, now: Nanos, name: &str, code: &str, keep: bool) -> Result<(), PeopleError> {
        if let Some(seconds) = self.limits.wait(now, name, "settle-factor") {
            return Err(PeopleError::Wait(seconds));
        }
        let _turn = self.factors.lock().await;
        let mut account = self.account(name).await?;
        let factor = account.factor.as_mut().ok_or_else(|| PeopleError::Missing("second factor".into()))?;
        let Some(step) = totp::step_of(&factor.secret, code, now, factor.used) else {
            self.limits.failed(now, name, "settle-factor");
            return Err(PeopleError::Refused("The code does not fit. Is the clock of the device right?".into()));
        };
        (factor.confirmed, factor.used) = (true, step);
        let action = if keep { "confirm-second-factor" } else { "remove-second-factor" };
        self.audit.append(now, name, action, name).await?;
        account.factor = account.factor.filter(|_| keep);
        self.write(Table::Accounts, name, &account).await
    }

    async fn account(&self, name: &str) -> Result<Account, PeopleError> {
        self.read(Table::Accounts, name).await?.ok_or_else(|| PeopleError::Missing(name.to_owned()))
    }

    async fn open(&self, now: Nanos, name: &str, account: Account) -> Result<Opened, PeopleError> {
        let cookie = secret::random("ns_");
        let (id, csrf) = (secret::hash(&cookie), secret::random("nc_"));
        let expires = after(now, SESSION_SECONDS);
        self.write(Table::Sessions, &id, &Session { account: name.to_owned(), csrf: csrf.clone(), expires }).await?;
        Ok(Opened { cookie, principal: principal(name, account, Via::Session { id, csrf }) })
    }

    /// Who a session cookie belongs to.
    pub async fn by_cookie(&self, now: Nanos, cookie: &str) -> Result<Option<Principal>, PeopleError> {
        let id = secret::hash(cookie);
        let Some(session) = self.read::<Session>(Table::Sessions, &id).await? else { return Ok(None) };
        if session.expires <= now {
            self.records.take(Table::Sessions, &id).await?;
            return Ok(None);
        }
        let account: Option<Account> = self.read(Table::Accounts, &session.account).await?;
        Ok(account.map(|account| principal(&session.account, account, Via::Session { id, csrf: session.csrf })))
    }

    /// Who an API token belongs to.
    pub async fn by_token(&self, now: Nanos, token: &str) -> Result<Option<Principal>, PeopleError> {
        let Some(token) = self.read::<Token>(Table::Tokens, &secret::hash(token)).await? else { return Ok(None) };
        if token.expires <= now {
            return Ok(None);
        }
        let account: Option<Account> = self.read(Table::Accounts, &token.account).await?;
        Ok(account.map(|account| principal(&token.account, account, Via::Token { rights: token.rights })))
    }

    /// Ends a session.
    pub async fn logout(&self, now: Nanos, principal: &Principal) -> Result<(), PeopleError> {
        if let Via::Session { id, .. } = &principal.via {
            self.audit.append(now, &principal.name, "logout", "portal").await?;
            self.records.take(Table::Sessions, id).await?;
        }
        Ok(())
    }

    /// All people.
    pub async fn list(&self) -> Result<Vec<PersonView>, PeopleError> {
        let rows = self.records.list(Table::Accounts).await?;
        rows.into_iter()
            .map(|(name, json)| {
                let account: Account = decode(&json)?;
                Ok(PersonView {
                    name,
                    role: account.role,
                    organisation: account.organisation,
                    prefixes: account.prefixes.iter().map(ToString::to_string).collect(),
                    active: account.password.is_some(),
                    second_factor: account.factor.is_some_and(|factor| factor.confirmed),
                })
            })
            .collect()
    }

    /// Invites somebody: makes the account and the one-time secret that opens it.
    pub async fn invite(
        &self,
        now: Nanos,
        by: &str,
        name: &str,
        role: Role,
        organisation: &str,
        prefixes: Vec<Prefix>,
    ) -> Result<String, PeopleError> {
        check_name(name)?;
        let account = Account { role, organisation: organisation.to_owned(), prefixes, password: None, factor: None };
        self.audit.append(now, by, "invite", name).await?;
        if !self.records.insert(Table::Accounts, name, encode(&account)?).await? {
            return Err(PeopleError::Exists(name.to_owned()));
        }
        self.make_link(now, Some(name)).await
    }

    /// Removes an account with its sessions and tokens. Nobody removes their own.
    pub async fn remove(&self, now: Nanos, by: &str, name: &str) -> Result<(), PeopleError> {
        if by == name {
            return Err(PeopleError::Refused("You cannot remove your own account.".into()));
        }
        self.audit.append(now, by, "remove-account", name).await?;
        self.records.take(Table::Accounts, name).await?.ok_or_else(|| PeopleError::Missing(name.to_owned()))?;
        for (key, json) in self.records.list(Table::Sessions).await? {
            if decode::<Session>(&json)?.account == name {
                self.records.take(Table::Sessions, &key).await?;
            }
        }
        for (key, json) in self.records.list(Table::Tokens).await? {
            if decode::<Token>(&json)?.account == name {
                self.records.take(Table::Tokens, &key).await?;
            }
        }
        Ok(())
    }

    /// Makes an API token and returns its secret, which is never shown again.
    pub async fn make_token(
        &self,
        now: Nanos,
        owner: &Principal,
        label: &str,
        rights: Vec<Right>,
        days: u32,
    ) -> Result<(String, TokenView), PeopleError> {
        if let Some(right) = rights.iter().find(|right| !owner.has(**right)) {
            return Err(PeopleError::Refused(format!("A token cannot do what you may not: {right:?}.")));
        }
        if !(1..=MAX_TOKEN_DAYS).contains(&days) || label.is_empty() || label.len() > 100 {
            return Err(PeopleError::Refused(format!(
                "A token needs a label of 1 to 100 characters and a life of 1 to {MAX_TOKEN_DAYS} days."
            )));
        }
        let secret = secret::random("nt_");
        let key = secret::hash(&secret);
        let token = Token {
            id: key[..12].to_owned(),
            account: owner.name.clone(),
            label: label.to_owned(),
            rights,
            expires: after(now, i64::from(days) * 86_400),
        };
        self.audit.append(now, &owner.name, "make-token", label).await?;
        self.write(Table::Tokens, &key, &token).await?;
        Ok((secret, view(token)))
    }

    /// Tokens of an account.
    pub async fn tokens(&self, account: &str) -> Result<Vec<TokenView>, PeopleError> {
        let mut found = Vec::new();
        for (_, json) in self.records.list(Table::Tokens).await? {
            let token: Token = decode(&json)?;
            if token.account == account {
                found.push(view(token));
            }
        }
        Ok(found)
    }

    /// Revokes a token of an account.
    pub async fn revoke_token(&self, now: Nanos, account: &str, id: &str) -> Result<(), PeopleError> {
        for (key, json) in self.records.list(Table::Tokens).await? {
            let token: Token = decode(&json)?;
            if token.account == account && token.id == id {
                self.audit.append(now, account, "revoke-token", &token.label).await?;
                self.records.take(Table::Tokens, &key).await?;
                return Ok(());
            }
        }
        Err(PeopleError::Missing(id.to_owned()))
    }

    async fn read<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, PeopleError> {
        self.records.get(table, key).await?.map(|json| decode(&json)).transpose()
    }

    async fn write<T: Serialize>(&self, table: Table, key: &str, value: &T) -> Result<(), PeopleError> {
        Ok(self.records.put(table, key, encode(value)?).await?)
    }
}

fn after(now: Nanos, seconds: i64) -> Nanos {
    Nanos(now.0.saturating_add(seconds * SECOND))
}

fn view(token: Token) -> TokenView {
    TokenView { id: token.id, account: token.account, label: token.label, rights: token.rights, expires: token.expires }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, PeopleError> {
    serde_json::to_vec(value).map_err(|error| RecordsError(error.to_string()).into())
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, PeopleError> {
    serde_json::from_slice(json).map_err(|error| RecordsError(format!("a record does not read: {error}")).into())
}

fn principal(name: &str, account: Account, via: Via) -> Principal {
    Principal {
        name: name.to_owned(),
        role: account.role,
        organisation: account.organisation,
        prefixes: account.prefixes,
        via,
    }
}

fn check_name(name: &str) -> Result<(), PeopleError> {
    let fits = (2..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@".contains(&b));
    if fits {
        return Ok(());
    }
    let rule = "A name has 2 to 64 characters: a to z, 0 to 9, dot, dash, underscore or @.";
    Err(PeopleError::Refused(rule.into()))
}

fn check_password(name: &str, password: &str) -> Result<(), PeopleError> {
    let refused = |text: String| Err(PeopleError::Refused(text));
    if password.chars().count() < MIN_PASSWORD {
        return refused(format!("A password has at least {MIN_PASSWORD} characters."));
    }
    if password.len() > MAX_PASSWORD {
        return refused(format!("A password has at most {MAX_PASSWORD} bytes."));
    }
    if !name.is_empty() && password.to_lowercase().contains(&name.to_lowercase()) {
        return refused("A password must not contain the name.".into());
    }
    Ok(())
}
