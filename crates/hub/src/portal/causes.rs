//! Which malware may be behind what a page shows.

use crate::cause::{of_session as profile_of_session, of_sources, space};
use crate::services::Context;
use noroshi_api::backend::{Answered, BackendError};
use noroshi_api::views::{CampaignView, CandidateView, CauseView, JoinView, SampleView, SessionView};
use noroshi_correlate::live::Link;
use noroshi_correlate::{Model, Profile};
use noroshi_model::Addr;

fn unavailable(error: impl std::fmt::Display) -> BackendError {
    BackendError::Unavailable { part: "lake", cause: error.to_string() }
}

/// A campaign by what its members send.
pub(super) async fn of_campaign(context: &Context, campaign: &CampaignView) -> Answered<CauseView> {
    let Some(lake) = &context.lake else { return Ok(CauseView::default()) };
    let members: Vec<Addr> = campaign.members.iter().filter_map(|text| text.parse().ok()).collect();
    let monitored = space(lake).await.map_err(unavailable)?;
    let times = (campaign.first, campaign.last);
    let profile = of_sources(lake, &campaign.id, &members, times, monitored).await.map_err(unavailable)?;
    Ok(look(context, &profile).await)
}

/// A dialogue by what it shares with samples.
pub(super) async fn of_session(context: &Context, session: &SessionView) -> Answered<CauseView> {
    let profile = profile_of_session(&session.id, &session.hashes, &session.urls, &session.credentials);
    Ok(look(context, &profile).await)
}

/// Names the families of files that are known by their hash.
pub(super) async fn families(context: &Context, samples: &mut [SampleView]) {
    let mut known = context.known.lock().await;
    for sample in samples {
        let link = known.look(&profile_of_session("", std::slice::from_ref(&sample.hash), &[], &[]));
        sample.family = link.joins.into_iter().find_map(|join| join.owner.label);
    }
}

async fn look(context: &Context, profile: &Profile) -> CauseView {
    let mut known = context.known.lock().await;
    let link = known.look(profile);
    view(link, known.len() as u64)
}

fn view(link: Link, profiles: u64) -> CauseView {
    let candidate = |one: noroshi_correlate::Candidate| CandidateView {
        family: one.family,
        probability: f64::from(one.probability),
        nearest: one.nearest,
        similarity: f64::from(one.similarity),
        reasons: one
            .reasons
            .into_iter()
            .map(|reason| if reason.weight < 0.0 { format!("− {}", reason.text) } else { reason.text })
            .collect(),
    };
    CauseView {
        family: link.verdict.family,
        abstains: link.verdict.abstains,
        candidates: link.verdict.candidates.into_iter().map(candidate).collect(),
        joins: link
            .joins
            .into_iter()
            .map(|join| JoinView {
                kind: serde_json::to_value(join.kind)
                    .ok()
                    .and_then(|kind| Some(kind.as_str()?.to_owned()))
                    .unwrap_or_default(),
                value: join.value,
                sample: join.owner.name,
                family: join.owner.label,
            })
            .collect(),
        packets: link.verdict.packets,
        profiles,
        trained_on: Model::shipped().card.data,
        detector: link.detector,
    }
}
